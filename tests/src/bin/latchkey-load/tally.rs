//! What came of the requests?

use latchkey_tests::histogram::Histogram;

/// What came of the requests that count (and how many were answered in all).
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) requests_with_warm_up: u64,
    pub(crate) answers: Histogram,
    pub(crate) errors: u64,
    first_error: Option<String>,
}

impl Tally {
    pub(crate) fn failed(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.requests_with_warm_up += other.requests_with_warm_up;
        self.answers.merge(&other.answers);
        self.errors += other.errors;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
    }

    pub(crate) fn json(&self, seconds: f64) -> serde_json::Value {
        serde_json::json!({
            "requests_with_warm_up": self.requests_with_warm_up,
            "requests": self.answers.total(),
            "requests_per_second": self.answers.total() as f64 / seconds,
            "p50_us": self.answers.quantile(0.50).as_secs_f64() * 1e6,
            "p99_us": self.answers.quantile(0.99).as_secs_f64() * 1e6,
            "errors": self.errors,
            "first_error": self.first_error,
        })
    }
}
