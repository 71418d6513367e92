//! Do traces and metrics reach a collector, and does a trace go on at the application? Without what is nobody's business.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use latchkey_tests::collector::{Collector, text};
use latchkey_tests::demo::{ALICE, BOB, Demo, NOBODY};
use latchkey_tests::process::until;
use latchkey_tests::upstream::{Received, Upstream};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

#[test]
fn a_request_is_a_trace_that_goes_on_at_the_application() {
    let (demo, application, collector) = traced("    users: id");

    let status = demo.status(ALICE, "wiki", "/page?password=hunter2");
    let spans = collector.trace_of("/page");

    assert_eq!(status, 200);
    let [server, decide, client] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!((server.kind(), server.name.as_str()), (SpanKind::Server, "GET"));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("server.address", "wiki.localhost"),
        ("http.response.status_code", "200"),
        ("latchkey.application", "wiki"),
        ("latchkey.decision", "allow"),
        ("latchkey.code", "allowed"),
    ] {
        assert_eq!(text(&server.attributes, key), value, "{key}");
    }
    assert!(text(&server.attributes, "enduser.id").starts_with("usr"), "{server:?}");
    assert_eq!((decide.kind(), decide.name.as_str()), (SpanKind::Internal, "decide"));
    assert_eq!(
        (client.kind(), text(&client.attributes, "server.address").as_str()),
        (SpanKind::Client, "127.0.0.1")
    );
    assert!([decide, client].iter().all(|span| within(span, server)), "{spans:?}");
    let passed_on = traceparent(&application.last("/page").unwrap());
    assert_eq!(
        passed_on,
        format!("00-{}-{}-01", hex(&server.trace_id), hex(&client.span_id))
    );
    let sent = collector
        .received()
        .iter()
        .map(|received| String::from_utf8_lossy(&received.body).into_owned())
        .collect::<String>();
    assert!(sent.contains("/page") && !sent.contains("hunter2") && !sent.contains("alice"));
}

#[test]
fn a_denial_is_recorded_with_its_code_and_goes_nowhere() {
    let (demo, _application, collector) = traced("");

    let status = demo.status(BOB, "payroll", "/denied");
    let spans = collector.trace_of("/denied");

    assert_eq!(status, 403);
    let [server, _decide] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!(text(&server.attributes, "latchkey.decision"), "deny");
    assert!(!text(&server.attributes, "latchkey.code").is_empty());
    assert_eq!(text(&server.attributes, "http.response.status_code"), "403");
    assert_eq!(text(&server.attributes, "enduser.id"), "");
}

#[test]
fn a_strangers_trace_is_not_gone_on_with() {
    let (demo, application, collector) = traced("");

    let status = get(&demo, "/stranger", &[PARENT, STATE]);
    let spans = collector.trace_of("/stranger");

    assert_eq!(status, 200);
    let received = application.last("/stranger").unwrap();
    assert_ne!(hex(&spans[0].trace_id), TRACE);
    assert!(spans[0].parent_span_id.is_empty() && spans[0].links.is_empty());
    assert!(traceparent(&received).contains(&hex(&spans[0].trace_id)));
    assert_eq!(received.fields("tracestate"), Vec::<&str>::new());
}

#[test]
fn a_trace_of_our_own_proxy_goes_on_and_a_malformed_one_is_dropped() {
    let (demo, application, collector) = traced_with("", true);

    assert_eq!(get(&demo, "/ours", &[PARENT, STATE]), 200);
    assert_eq!(get(&demo, "/quiet", &[&PARENT.replace("-01", "-00")]), 200);
    assert_eq!(
        get(
            &demo,
            "/malformed",
            &[&PARENT.to_uppercase().replace("TRACEPARENT", "traceparent"), STATE]
        ),
        200
    );
    assert_eq!(get(&demo, "/twice", &[PARENT, PARENT]), 200);
    let (ours, malformed, twice) = (
        collector.trace_of("/ours"),
        collector.trace_of("/malformed"),
        collector.trace_of("/twice"),
    );

    assert_eq!(
        (hex(&ours[0].trace_id).as_str(), hex(&ours[0].parent_span_id).as_str()),
        (TRACE, SPAN)
    );
    let received = application.last("/ours").unwrap();
    assert_eq!(
        traceparent(&received),
        format!("00-{TRACE}-{}-01", hex(&ours[2].span_id))
    );
    assert_eq!(received.fields("tracestate"), ["congo=t61rcWkgMzE"]);
    for (path, spans) in [("/malformed", malformed), ("/twice", twice)] {
        let received = application.last(path).unwrap();
        assert_ne!(hex(&spans[0].trace_id), TRACE, "{path}");
        assert!(traceparent(&received).contains(&hex(&spans[0].trace_id)), "{path}");
        assert_eq!(received.fields("tracestate"), Vec::<&str>::new(), "{path}");
    }
    // Not recorded by the proxy's own word, and the application is told so.
    let quiet = traceparent(&application.last("/quiet").unwrap());
    assert!(
        quiet.starts_with(&format!("00-{TRACE}-")) && quiet.ends_with("-00"),
        "{quiet}"
    );
    assert!(
        collector
            .spans()
            .iter()
            .all(|span| text(&span.attributes, "url.path") != "/quiet")
    );
}

#[test]
fn with_a_ratio_of_nothing_applications_still_get_a_trace() {
    let (demo, application, collector) = traced("    sample_ratio: 0");

    assert_eq!(demo.status(ALICE, "wiki", "/unrecorded"), 200);
    let metrics = || collector.metrics().is_some();
    assert!(until(SOON, metrics));

    assert!(traceparent(&application.last("/unrecorded").unwrap()).ends_with("-00"));
    assert_eq!(collector.spans(), Vec::<Span>::new());
}

#[test]
fn metrics_are_those_of_the_operations_listener() {
    let (demo, _application, collector) = traced("");
    for _ in 0..3 {
        assert_eq!(demo.status(ALICE, "wiki", "/counted"), 200);
    }
    assert_eq!(demo.status(NOBODY, "wiki", "/counted"), 401);

    let allowed = || {
        let (_, metrics) = collector.metrics()?;
        let decisions = metrics
            .into_iter()
            .find(|metric| metric.name == "latchkey_decisions_total")?;
        let Some(Data::Sum(sum)) = decisions.data else {
            return None;
        };
        let point = sum
            .data_points
            .into_iter()
            .find(|point| text(&point.attributes, "code") == "allowed")?;
        match point.value? {
            Value::AsDouble(value) => Some(value),
            Value::AsInt(_) => None,
        }
    };

    assert!(until(SOON, || allowed() == Some(3.0)), "{:?}", allowed());
    let (resource, metrics) = collector.metrics().unwrap();
    assert_eq!(text(&resource.attributes, "service.name"), "latchkey");
    let seconds = metrics
        .iter()
        .find(|metric| metric.name == "latchkey_decision_seconds")
        .unwrap();
    let Some(Data::Histogram(histogram)) = &seconds.data else {
        panic!("{seconds:?}")
    };
    let point = &histogram.data_points[0];
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
}

#[test]
fn what_was_recorded_is_sent_before_the_gateway_ends() {
    let (mut demo, _application, collector) = traced("");

    assert_eq!(demo.status(ALICE, "wiki", "/last"), 200);
    demo.process().signal("TERM");

    assert_eq!(demo.wait(SOON), Some(0));
    assert!(
        collector
            .spans()
            .iter()
            .any(|span| text(&span.attributes, "url.path") == "/last")
    );
}

#[test]
fn a_collector_that_is_away_holds_nothing_up_and_is_counted() {
    let application = Upstream::friendly();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut demo = Demo::in_front_of(&application);
    demo.configure("telemetry", &format!("  otlp:\n    endpoint: http://{nobody}"));
    demo.run_as_configured();

    assert_eq!(demo.status(ALICE, "wiki", "/"), 200);

    assert!(until(SOON, || demo.metric("latchkey_traces_total") == Some(1.0)));
    assert_eq!(demo.status(ALICE, "wiki", "/"), 200);
}

#[test]
fn header_fields_for_the_collector_come_from_a_file_that_is_kept_from_others() {
    let application = Upstream::friendly();
    let collector = Collector::start();
    let mut demo = Demo::in_front_of(&application);
    let secret = demo.file("tls/otlp-headers");
    std::fs::write(&secret, "Authorization: Bearer s3cr3t-of-the-collector\n").unwrap();
    let lines = format!(
        "  otlp:\n    endpoint: {}\n    headers_file: tls/otlp-headers\n    metrics_interval: 1s",
        collector.url()
    );
    demo.configure("telemetry", &lines);

    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).unwrap();
    let mut program = std::process::Command::new(demo.program());
    program.env("RUST_LOG", "trace");
    demo.run_as_configured_by(program, |_| {});
    let refused = demo.wait(SOON * 4);
    let complaint = demo.process().output();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    demo.run_as_configured();

    assert_eq!(refused, Some(1));
    assert!(
        complaint.contains("telemetry.otlp.headers_file") && !complaint.contains("s3cr3t"),
        "{complaint}"
    );
    assert!(until(SOON, || !collector.received().is_empty()));
    assert_eq!(
        collector.received()[0].fields("authorization"),
        ["Bearer s3cr3t-of-the-collector"]
    );
    assert!(!demo.process().output().contains("s3cr3t"));
}

#[test]
fn where_nobody_takes_traces_nothing_is_done_about_them() {
    let application = Upstream::friendly();
    let demo = Demo::in_front_of(&application);

    assert_eq!(demo.status(ALICE, "wiki", "/without"), 200);
    assert_eq!(get(&demo, "/with", &[PARENT]), 200);

    assert_eq!(
        application.last("/without").unwrap().fields("traceparent"),
        Vec::<&str>::new()
    );
    assert_eq!(
        format!("traceparent: {}", traceparent(&application.last("/with").unwrap())),
        PARENT
    );
}

/// A gateway with a collector.
fn traced(more: &str) -> (Demo, Upstream, Collector) {
    traced_with(more, false)
}

/// The same, for which this machine may be a proxy of ours.
fn traced_with(more: &str, behind_a_proxy: bool) -> (Demo, Upstream, Collector) {
    let (application, collector) = (Upstream::friendly(), Collector::start());
    let mut demo = Demo::in_front_of(&application);
    let lines = format!(
        "  otlp:\n    endpoint: {}\n    metrics_interval: 1s\n{more}",
        collector.url()
    );
    demo.configure("telemetry", lines.trim_end());
    if behind_a_proxy {
        demo.configure("proxies", "  forwarded_for: [127.0.0.0/8]");
    }
    demo.run_as_configured();
    (demo, application, collector)
}

fn get(demo: &Demo, path: &str, fields: &[&str]) -> u16 {
    let arguments: Vec<&str> = fields.iter().flat_map(|field| ["-H", *field]).collect();
    demo.curl(ALICE, &demo.url("wiki", path), &arguments).status
}

/// The only one.
fn traceparent(received: &Received) -> String {
    let fields = received.fields("traceparent");
    assert_eq!(fields.len(), 1, "{fields:?}");
    fields[0].to_owned()
}

fn within(inner: &Span, outer: &Span) -> bool {
    inner.trace_id == outer.trace_id
        && outer.start_time_unix_nano <= inner.start_time_unix_nano
        && inner.end_time_unix_nano <= outer.end_time_unix_nano
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const PARENT: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const STATE: &str = "tracestate: congo=t61rcWkgMzE";
const SOON: Duration = Duration::from_secs(15);
