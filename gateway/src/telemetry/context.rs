//! Which trace does a request belong to? That which a proxy of ours says, or a new one (W3C Trace Context, level 1).

use http::{HeaderMap, HeaderName, HeaderValue};

/// A trace, and the place in it from which a request comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TraceContext {
    /// The trace; never 0.
    pub(super) trace: u128,
    /// The span that caused the request.
    pub(super) parent: Option<u64>,
    /// Whether the trace is recorded.
    pub(super) sampled: bool,
    /// What others keep of the trace, handed on as it is.
    pub(super) state: Option<HeaderValue>,
}

impl TraceContext {
    /// What the fields say; nothing if there is none or they are not as the standard has them.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(TRACEPARENT).iter();
        let (only, None) = (fields.next()?, fields.next()) else {
            return None;
        };
        let mut context = Self::parse(only.to_str().ok()?)?;
        context.state = state(headers);
        Some(context)
    }

    /// A new trace of random numbers, which is recorded if its own number lies below the threshold.
    pub(super) fn new(trace: u128, threshold: u64) -> Self {
        Self {
            trace: trace.max(1),
            parent: None,
            // INVARIANT: the lower 56 bits are random, as level 2 of the standard and samplers of others count on.
            sampled: (trace as u64 & RANDOM) < threshold,
            state: None,
        }
    }

    /// `00-TRACE-PARENT-FLAGS`; later versions may have more behind.
    fn parse(text: &str) -> Option<Self> {
        let version = number(text.get(..2)?)?;
        let more = text.get(LENGTH..)?;
        let more_is_fit = match version {
            0 => more.is_empty(),
            0xff => false,
            _ => more.is_empty() || more.starts_with('-'),
        };
        let [trace, parent, flags] = [3..35, 36..52, 53..55].map(|range| text.get(range).and_then(number));
        let dashes = [2, 35, 52]
            .iter()
            .all(|place| text.as_bytes().get(*place) == Some(&b'-'));
        let (trace, parent, flags) = (trace?, u64::try_from(parent?).ok()?, flags?);
        (more_is_fit && dashes && trace != 0 && parent != 0).then_some(Self {
            trace,
            parent: Some(parent),
            sampled: flags & 1 == 1,
            state: None,
        })
    }

    /// The field that says that `span` of this trace caused a request.
    pub(super) fn traceparent(&self, span: u64) -> Option<HeaderValue> {
        let flags = u8::from(self.sampled);
        HeaderValue::try_from(format!("00-{:032x}-{span:016x}-{flags:02x}", self.trace)).ok()
    }
}

/// The number that lower-case hexadecimal digits stand for.
fn number(digits: &str) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digits
        .bytes()
        .all(is_digit)
        .then(|| u128::from_str_radix(digits, 16).ok())?
}

/// All `tracestate` fields as one; nothing where that would be more than anybody has to hand on.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let fields: Option<Vec<&str>> = headers
        .get_all(TRACESTATE)
        .iter()
        .map(|field| field.to_str().ok())
        .collect();
    let joined = fields?.join(",");
    let members = joined.split(',').filter(|member| !member.trim().is_empty());
    let fit = joined.len() <= LONGEST_STATE && (1..=MOST_MEMBERS).contains(&members.count());
    fit.then(|| HeaderValue::try_from(joined).ok())?
}

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// How long a field of version 00 is.
const LENGTH: usize = 55;
const LONGEST_STATE: usize = 512;
const MOST_MEMBERS: usize = 32;

/// The part of a trace's number that sampling goes by.
pub(super) const RANDOM: u64 = (1 << 56) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(parents: &[&str], states: &[&str]) -> Option<TraceContext> {
        let mut headers = HeaderMap::new();
        for parent in parents {
            headers.append(TRACEPARENT, HeaderValue::from_str(parent).unwrap());
        }
        for state in states {
            headers.append(TRACESTATE, HeaderValue::from_str(state).unwrap());
        }
        TraceContext::read(&headers)
    }

    #[test]
    fn what_the_standard_has_is_read_and_written_again() {
        let context = read(&[GOOD], &["congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7"]).unwrap();

        assert_eq!(context.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(context.parent, Some(0x00f0_67aa_0ba9_02b7));
        assert!(context.sampled);
        assert_eq!(
            context.state.as_ref().unwrap(),
            "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
        );
        assert_eq!(context.traceparent(0x00f0_67aa_0ba9_02b7).unwrap(), GOOD);
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = GOOD.replacen("00-", "cc-", 1);
        for fit in [later.clone(), format!("{later}-what-is-to-come")] {
            assert!(read(&[&fit], &[]).is_some(), "{fit}");
        }
        assert!(read(&[&format!("{later}.what")], &[]).is_none());
    }

    #[test]
    fn what_is_malformed_is_nothing() {
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &format!("{GOOD}-00"),
            &format!("{GOOD} "),
            &GOOD.replacen("00-", "ff-", 1),
            &GOOD.replace('-', "_"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace("4bf9", "4bg9"),
            &GOOD.replace("4bf9", "+bf9"),
        ] {
            assert_eq!(read(&[bad], &["congo=1"]), None, "{bad}");
        }
        assert_eq!(read(&[GOOD, GOOD], &[]), None);
    }

    #[test]
    fn a_state_that_is_too_large_is_left_behind_and_the_trace_goes_on() {
        for states in [
            vec!["x=".to_owned() + &"1".repeat(600)],
            vec!["a=1".to_owned(); 33],
            vec![],
        ] {
            let states: Vec<&str> = states.iter().map(String::as_str).collect();
            assert_eq!(read(&[GOOD], &states).unwrap().state, None);
        }
    }

    #[test]
    fn as_many_traces_are_recorded_as_the_threshold_says() {
        let quarter = RANDOM / 4;
        assert!(TraceContext::new(u128::from(quarter - 1), quarter).sampled);
        assert!(!TraceContext::new(u128::from(quarter), quarter).sampled);
        assert!(!TraceContext::new(7, 0).sampled);
        assert!(TraceContext::new(u128::MAX, RANDOM + 1).sampled);
    }
}
