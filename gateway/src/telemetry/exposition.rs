//! How do the metrics look in OTLP? As on `/metrics`, by the same names: read from there, so that nothing is counted twice.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::wire;

/// Between which moments was counted, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) since: u64,
    pub(super) now: u64,
}

/// Puts what `/metrics` says into one message.
pub(super) fn metrics(resource: &Resource, exposition: &str, span: Span) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource.clone()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(wire::scope()),
                metrics: read(exposition, span),
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

/// The series of one metric, by their labels.
type Series<'a> = BTreeMap<Vec<(&'a str, String)>, Vec<(&'a str, Option<String>, f64)>>;

fn read(exposition: &str, span: Span) -> Vec<Metric> {
    let mut metrics = Vec::new();
    let (mut help, mut family): (&str, Option<(&str, &str)>) = ("", None);
    let mut series = Series::new();
    for line in exposition.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            metrics.extend(finish(family.take(), help, std::mem::take(&mut series), span));
            help = text.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some(text) = line.strip_prefix("# TYPE ") {
            if family.is_some() {
                metrics.extend(finish(family.take(), help, std::mem::take(&mut series), span));
                help = "";
            }
            family = text.split_once(' ');
        } else if let (Some((name, _)), Some(sample)) = (family, sample(line)) {
            let (labels, bound) = sample.labels();
            let part = sample.name.strip_prefix(name).unwrap_or_default();
            series.entry(labels).or_default().push((part, bound, sample.value));
        }
    }
    metrics.extend(finish(family, help, series, span));
    metrics
}

fn finish(family: Option<(&str, &str)>, help: &str, series: Series<'_>, span: Span) -> Option<Metric> {
    let (name, kind) = family?;
    let points = |since: u64| {
        series
            .iter()
            .filter_map(move |(labels, samples)| point(labels, samples.first()?.2, since, span.now))
    };
    let data = match kind {
        "counter" => Data::Sum(Sum {
            data_points: points(span.since).collect(),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        }),
        "gauge" => Data::Gauge(Gauge {
            data_points: points(0).collect(),
        }),
        "histogram" => Data::Histogram(Histogram {
            data_points: series
                .iter()
                .map(|(labels, samples)| distribution(labels, samples, span))
                .collect(),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        }),
        _ => return None,
    };
    Some(Metric {
        name: name.to_owned(),
        description: help.to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

fn point(labels: &[(&str, String)], value: f64, since: u64, now: u64) -> Option<NumberDataPoint> {
    value.is_finite().then(|| NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: since,
        time_unix_nano: now,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    })
}

/// Prometheus counts in each bucket what is in those below too, OTLP does not.
fn distribution(labels: &[(&str, String)], samples: &[(&str, Option<String>, f64)], span: Span) -> HistogramDataPoint {
    let value = |wanted: &str| {
        samples
            .iter()
            .find(|(part, ..)| *part == wanted)
            .map(|(.., value)| *value)
    };
    let buckets = samples
        .iter()
        .filter_map(|(_, bound, value)| Some((bound.as_ref()?.parse::<f64>().ok()?, *value)));
    let (mut bounds, mut counts, mut below) = (Vec::new(), Vec::new(), 0.0);
    for (bound, cumulated) in buckets {
        counts.push(whole(cumulated - below));
        below = cumulated;
        bounds.extend(bound.is_finite().then_some(bound));
    }
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: span.since,
        time_unix_nano: span.now,
        count: whole(value("_count").unwrap_or_default()),
        sum: value("_sum"),
        bucket_counts: counts,
        explicit_bounds: bounds,
        ..HistogramDataPoint::default()
    }
}

/// A count, which the exposition writes as any number.
fn whole(count: f64) -> u64 {
    count.max(0.0).round() as u64
}

fn attributes(labels: &[(&str, String)]) -> Vec<KeyValue> {
    labels
        .iter()
        .map(|(name, value)| wire::text(name, value.as_str()))
        .collect()
}

/// One line: `name{label="value",…} 1`.
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let (rest, value) = line.rsplit_once(' ')?;
    let (name, labels) = match rest.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (rest, ""),
    };
    Some(Sample {
        name,
        labels,
        value: value.parse().ok()?,
    })
}

impl<'a> Sample<'a> {
    /// The labels, and the bound of a bucket apart.
    fn labels(&self) -> (Vec<(&'a str, String)>, Option<String>) {
        let (mut labels, mut bound, mut rest) = (Vec::new(), None, self.labels);
        while let Some((name, after)) = rest.split_once("=\"") {
            let (value, after) = quoted(after);
            match name {
                "le" => bound = Some(value),
                name => labels.push((name, value)),
            }
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        (labels, bound)
    }
}

/// The value up to its closing quote, and what comes behind.
fn quoted(text: &str) -> (String, &str) {
    let (mut value, mut letters) = (String::new(), text.char_indices());
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return (value, text.get(place + 1..).unwrap_or_default()),
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped)) => value.push(escaped),
                None => {}
            },
            letter => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { since: 1, now: 2 };

    #[test]
    fn counters_gauges_and_histograms_keep_names_labels_and_values() {
        let metrics = read(
            "# HELP x_total How often.\n# TYPE x_total counter\nx_total{code=\"a\\\"b,c\",why=\"d\"} 3\nx_total{code=\"e\"} 4\n\n\
             # TYPE y gauge\ny 0.5\n\n\
             # TYPE z histogram\nz_bucket{app=\"w\",le=\"0.1\"} 2\nz_bucket{app=\"w\",le=\"1\"} 5\nz_bucket{app=\"w\",le=\"+Inf\"} 6\n\
             z_sum{app=\"w\"} 7.5\nz_count{app=\"w\"} 6\n",
            SPAN,
        );

        let [x, y, z] = metrics.as_slice() else {
            panic!("{metrics:?}")
        };
        assert_eq!((x.name.as_str(), x.description.as_str()), ("x_total", "How often."));
        let Some(Data::Sum(sum)) = &x.data else { panic!("{x:?}") };
        assert!(sum.is_monotonic && sum.data_points.len() == 2);
        assert_eq!(
            sum.data_points[0].attributes,
            [wire::text("code", "a\"b,c"), wire::text("why", "d")]
        );
        assert_eq!(sum.data_points[1].value, Some(Value::AsDouble(4.0)));
        let Some(Data::Gauge(gauge)) = &y.data else {
            panic!("{y:?}")
        };
        assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(0.5)));
        assert_eq!(y.description, "");
        let Some(Data::Histogram(histogram)) = &z.data else {
            panic!("{z:?}")
        };
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.sum), (6, Some(7.5)));
        assert_eq!(point.explicit_bounds, [0.1, 1.0]);
        assert_eq!(point.bucket_counts, [2, 3, 1]);
        assert_eq!(point.attributes, [wire::text("app", "w")]);
    }
}
