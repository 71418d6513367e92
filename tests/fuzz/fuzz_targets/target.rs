#![no_main]
//! Can a request target be read in two ways, once it is taken? The first octet says what is let through.

use latchkey::fuzzing::{Leniency, read_target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Some((options, target)) = octets.split_first() else {
        return;
    };
    let leniency = Leniency {
        encoded_slashes: options & 1 != 0,
        path_parameters: options & 2 != 0,
        case_insensitive: options & 4 != 0,
    };
    let Some(taken) = read_target(target, leniency) else {
        return;
    };
    assert!(
        target.starts_with(taken.path.as_bytes()),
        "what is forwarded is not what came"
    );
    assert!(taken.path.starts_with('/') && !taken.path.contains(['?', '#', '\\']));
    assert!(
        !target
            .iter()
            .any(|octet| *octet <= b' ' || *octet == 0x7f || *octet == b'#')
    );

    // However leniently a server reads it: no segment that leads elsewhere, none that is empty but the last.
    let decoded = decode(&taken.path);
    for reading in [
        taken.path.clone(),
        decoded.clone(),
        taken.matched.clone(),
        decode(&taken.matched),
    ] {
        assert!(!reading.contains(['\\', '\0', '\r', '\n']));
        assert!(!reading.contains("//"), "an empty segment in {reading:?}");
        for segment in reading.split('/') {
            let bare = segment.split(';').next().unwrap();
            assert!(
                ![".", ".."].contains(&segment) && ![".", ".."].contains(&bare),
                "{reading:?}"
            );
        }
    }
    assert!(leniency.encoded_slashes || decoded.matches('/').count() == taken.path.matches('/').count());
    if leniency.path_parameters {
        assert!(!taken.matched.contains(';'), "a parameter in what rules match");
    }

    // What rules match is settled: read again, it is itself.
    let again = read_target(taken.matched.as_bytes(), leniency);
    assert_eq!(again.map(|again| again.matched).as_ref(), Some(&taken.matched));
    if leniency.encoded_slashes || decoded.contains(';') {
        return;
    }
    // However it is spelled, it matches the same rules.
    let spelled = read_target(encode(&decoded).as_bytes(), leniency);
    assert_eq!(
        spelled.map(|spelled| spelled.matched).as_ref(),
        Some(&taken.matched),
        "{decoded:?}"
    );
    // Without regard to case, both cases of it do.
    if leniency.case_insensitive {
        for cased in [decoded.to_lowercase(), decoded.to_uppercase()] {
            let cased = read_target(encode(&cased).as_bytes(), leniency);
            assert_eq!(
                cased.map(|cased| cased.matched).as_ref(),
                Some(&taken.matched),
                "{decoded:?}"
            );
        }
    }
});

fn decode(path: &str) -> String {
    let mut decoded = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let encoded = (*first == b'%').then(|| std::str::from_utf8(&after[..2]).unwrap());
        decoded.push(encoded.map_or(*first, |digits| u8::from_str_radix(digits, 16).unwrap()));
        rest = if encoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(decoded).expect("a path that is no UTF-8 was taken")
}

/// Encodes all that may be: what needs no encoding at all is refused encoded.
fn encode(path: &str) -> String {
    let octet = |octet: u8| match octet {
        b'/' | b'-' | b'.' | b'_' | b'~' => char::from(octet).to_string(),
        _ if octet.is_ascii_alphanumeric() => char::from(octet).to_string(),
        _ => format!("%{octet:02x}"),
    };
    path.bytes().map(octet).collect()
}
