//! Does an application that is all scripts and WebSockets work behind the gateway, through sign-in, renewal, idleness and cut?
//! JupyterLab as it is on PyPI.

use std::time::{Duration, Instant};

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{Demo, host};
use latchkey_tests::jupyter::{Jupyter, Kernel};
use latchkey_tests::process::until;
use latchkey_tests::visitor::{Page, Visitor};
use latchkey_tests::websocket::End;

/// Who is not signed in is led to the sign-in by a page, and told of it by the API; Jupyter hears of neither. Once signed in,
/// the page opens with its scripts, a kernel starts, and a cell runs over its WebSocket.
#[test]
fn jupyterlab_runs_a_cell_for_who_is_signed_in_and_hears_of_nobody_else() {
    let jupyter = Jupyter::start();
    let demo = Demo::start_with_upstream(&jupyter.url());
    let device = demo.user_with_device("lab");
    let mut visitor = Visitor::new(&demo);

    let page = visitor.open(&demo.url("wiki", "/lab"));
    let refused = kernels(&mut visitor, "wiki");
    let started = visitor.jupyter("wiki", "POST", "/api/kernels", "{}");
    let socket = visitor.kernel("wiki", NO_KERNEL).err();

    assert_eq!(page.host(), host("auth"), "{}", page.said());
    assert_eq!((refused.status, refused.code().as_str()), (401, "not-signed-in"));
    let told = refused.fields("www-authenticate").join(", ");
    assert!(
        told.contains(&format!("sign_in=\"{}\"", demo.url("auth", "/sign-in?app=wiki"))),
        "{told}"
    );
    assert_eq!((started.status, socket), (401, Some(401)));
    for request in ["GET /api/kernels", "POST /api/kernels"] {
        assert_eq!(jupyter.answered(request), 0, "{request}");
    }

    let lab = visitor.fastpass_at(&page, &device);
    assert_eq!((lab.status, lab.path().as_str()), (200, "/lab"), "{}", lab.text());
    assert!(lab.text().contains("<title>JupyterLab</title>"), "{}", lab.text());
    let script = visitor.get(&main_script(&lab));
    assert_eq!(script.status, 200);
    assert!(script.header("content-type").unwrap().contains("javascript"));
    let id = visitor.start_kernel("wiki");
    assert_eq!(visitor.kernel("wiki", &id).unwrap().run("1+1").as_deref(), Ok("2"));
    assert_eq!(kernels(&mut visitor, "wiki").json()[0]["id"], id.as_str());
    for request in ["GET /api/kernels", "POST /api/kernels"] {
        assert!(has_heard_once(&jupyter, request), "control: {request}");
    }
}

/// a kernel answers on its WebSocket for as long as the session's device proves itself again. Control: one who does not
/// is cut off, and told by the API that a renewal would do.
#[test]
fn a_kernel_goes_on_while_the_devices_proof_is_renewed() {
    let jupyter = Jupyter::start();
    let demo = Demo::start_with_upstream(&jupyter.url());
    let (device, other) = (demo.user_with_device("renews"), demo.user_with_device("leaves"));
    let (mut renewing, mut leaving) = (Visitor::new(&demo), Visitor::new(&demo));
    renewing.fastpass(&demo.url("wiki", "/lab"), &device);
    leaving.fastpass(&demo.url("wiki", "/lab"), &other);
    let id = renewing.start_kernel("wiki");
    demo.set_policies("wiki.cedar", FRESH_PROOF);
    assert_eq!(leaving.renew("wiki", &other).status, 204);
    let mut left = leaving.kernel("wiki", &id).unwrap();
    assert_eq!(renewing.renew("wiki", &device).status, 204);
    let mut renewed = renewing.kernel("wiki", &id).unwrap();
    assert_eq!(renewed.run("1+1").as_deref(), Ok("2"));

    let end = until_it_ends(&mut left, || {
        assert_eq!(renewing.renew("wiki", &device).status, 204);
    });

    assert_eq!(end, End::Closed(1008));
    assert_eq!(renewed.run("1+1").as_deref(), Ok("2"), "the renewed one goes on");
    assert_eq!(kernels(&mut renewing, "wiki").status, 200);
    let denied = kernels(&mut leaving, "wiki");
    assert_eq!((denied.status, denied.code().as_str()), (401, "proof-too-old"));
    let told = denied.fields("www-authenticate").join(", ");
    assert!(told.contains("renew=\"/.latchkey/renew\""), "{told}");
}

/// D-05: when the device is deactivated, the kernel's WebSocket is closed within a second, and the API says why. Control: who
/// is signed in without that device goes on with the same kernel.
#[test]
fn a_kernel_is_cut_off_with_the_device_and_goes_on_for_others() {
    let jupyter = Jupyter::start();
    let demo = Demo::start_with_upstream(&jupyter.url());
    demo.set_policies("news.cedar", SESSION_ALONE);
    let device = demo.user_with_device("cut");
    demo.user("stays", PASSWORD, &["employees"]);
    let (mut visitor, mut other) = (Visitor::new(&demo), Visitor::new(&demo));
    visitor.fastpass(&demo.url("wiki", "/lab"), &device);
    let lab = other.sign_in_with_password(&demo.url("news", "/lab"), "stays", PASSWORD);
    assert_eq!((lab.host(), lab.status), (host("news"), 200), "{}", lab.text());
    let id = visitor.start_kernel("wiki");
    let mut cut = visitor.kernel("wiki", &id).unwrap();
    let mut kept = other.kernel("news", &id).unwrap();
    assert_eq!(cut.run("1+1").as_deref(), Ok("2"));
    assert_eq!(kept.run("1+1").as_deref(), Ok("2"));

    demo.command(&["device", "deactivate", device.enrolled["device"].as_str().unwrap()]);

    let (end, after) = cut.end_within(Duration::from_secs(1));
    assert_eq!(end, End::Closed(1008), "after {after:?}");
    let denied = kernels(&mut visitor, "wiki");
    assert_eq!((denied.status, denied.code().as_str()), (401, "device-deactivated"));
    assert!(denied.text().contains("deactivated the device"), "{}", denied.text());
    assert_eq!(visitor.kernel("wiki", &id).err(), Some(401), "nor is it opened again");
    let page = visitor.open(&demo.url("wiki", "/lab"));
    assert_eq!(page.status, 401);
    assert!(page.said().contains("deactivated the device"), "{}", page.said());
    assert_eq!(kept.run("2+2").as_deref(), Ok("4"), "control");
    assert_eq!(kernels(&mut other, "news").json()[0]["id"], id.as_str(), "control");
    assert!(has_heard_once(&jupyter, "GET /api/kernels"), "of the control alone");
}

/// a session ends when nothing but an open WebSocket is left of it: that is cut, the API says that one has to sign in, and
/// the page leads there. Control: one whose page goes on asking, as JupyterLab's does.
#[test]
fn a_kernel_is_cut_off_when_its_page_asks_for_nothing_any_more() {
    let jupyter = Jupyter::start();
    let demo = Demo::start_with_upstream(&jupyter.url());
    let device = demo.user_with_device("idle");
    let (mut used, mut idle) = (Visitor::new(&demo), Visitor::new(&demo));
    used.fastpass(&demo.url("wiki", "/lab"), &device);
    idle.fastpass(&demo.url("wiki", "/lab"), &device);
    let id = used.start_kernel("wiki");
    let (mut kept, mut left) = (used.kernel("wiki", &id).unwrap(), idle.kernel("wiki", &id).unwrap());
    let policies = std::fs::read_to_string(demo.file("policies/organization.cedar")).unwrap();
    let short = policies.replace("idle < 7200", "idle < 8");
    assert_ne!(policies, short);
    assert_eq!(
        (kernels(&mut used, "wiki").status, kernels(&mut idle, "wiki").status),
        (200, 200)
    );
    demo.set_policies("organization.cedar", &short);

    let end = until_it_ends(&mut left, || {
        assert_eq!(kernels(&mut used, "wiki").status, 200);
    });

    assert_eq!(end, End::Closed(1008));
    let denied = kernels(&mut idle, "wiki");
    assert_eq!(denied.status, 401, "{}", denied.text());
    let told = denied.fields("www-authenticate").join(", ");
    assert!(told.contains("sign_in=\""), "{told}");
    let page = idle.open(&demo.url("wiki", "/lab"));
    assert_eq!(page.host(), host("auth"), "{}", page.said());
    assert_eq!(kept.run("1+1").as_deref(), Ok("2"), "control");
    assert_eq!(idle.fastpass_at(&page, &device).path(), "/lab", "signed in again");
    assert_eq!(
        idle.kernel("wiki", &id).unwrap().run("1+1").as_deref(),
        Ok("2"),
        "the same kernel"
    );
}

/// What the page's scripts ask for every few seconds.
fn kernels(visitor: &mut Visitor<'_>, app: &str) -> Page {
    visitor.jupyter(app, "GET", "/api/kernels", "")
}

/// Whether Jupyter answered such a request once. It writes its log in the order of its answers, a moment after them.
fn has_heard_once(jupyter: &Jupyter, request: &str) -> bool {
    until(PATIENCE, || jupyter.answered(request) > 0) && jupyter.answered(request) == 1
}

/// How a kernel's WebSocket ends, while this is done again and again.
fn until_it_ends(kernel: &mut Kernel, mut meanwhile: impl FnMut()) -> End {
    let begun = Instant::now();
    loop {
        meanwhile();
        let (end, _) = kernel.end_within(Duration::from_millis(300));
        if end != End::Open || begun.elapsed() > PATIENCE {
            return end;
        }
    }
}

/// The address of the script that JupyterLab's page begins with.
fn main_script(lab: &Page) -> String {
    let text = lab.text();
    let scripts = text.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut scripts = scripts.filter(|script| script.contains("/static/lab/main."));
    lab.absolute(scripts.next().unwrap_or_else(|| panic!("no script in {text}")))
}

const NO_KERNEL: &str = "00000000-0000-4000-8000-000000000000";

const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever is signed in.
const SESSION_ALONE: &str = "@id(\"news.session\")\n\
    permit (principal is User, action in Action::\"access\", resource == App::\"news\") when { context has session };\n";

/// A device's proof of the last seconds.
const FRESH_PROOF: &str = "@id(\"wiki.open\")\n\
    permit (principal is User, action in Action::\"access\", resource == App::\"wiki\");\n\
    @id(\"wiki.fresh\") @deny_reason(\"Your device has to prove itself again.\") @advice(\"prove-device\")\n\
    forbid (principal is User, action in Action::\"access\", resource == App::\"wiki\")\n\
    unless { context.age has deviceProof && context.age.deviceProof < 4 };\n";
