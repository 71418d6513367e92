#![no_main]
//! Is a session's cookie taken only where there is one, as it stands? Each line is a `Cookie` field.

use directory::SecretHash;
use latchkey::fuzzing::{Field, Head};
use latchkey_fuzz::pairs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let lines = octets.split(|octet| *octet == b'\n');
    let fields: Vec<Field> = lines.map(|line| ("cookie".to_owned(), line.to_vec())).collect();
    let Some(mut head) = Head::new("GET", b"/", &fields) else {
        return;
    };
    let ours: Vec<Vec<u8>> = head
        .fields()
        .iter()
        .flat_map(|(_, value)| pairs(value))
        .filter(|(name, _)| name == b"__Host-latchkey-session")
        .map(|(_, value)| value)
        .collect();
    match (head.session(), ours.as_slice()) {
        (Ok(None), []) => {}
        (Ok(Some(secret)), [value]) => {
            assert_eq!(secret, SecretHash::of(std::str::from_utf8(value).unwrap()));
            assert_eq!(value.len(), 43);
        }
        (Err(_), [value]) => assert!(value.len() != 43 || !value.iter().all(is_base64url), "refused its own"),
        (Err(_), [_, _, ..]) => {}
        (read, found) => panic!("{read:?} of {} cookies", found.len()),
    }
    head.strip();
    assert_eq!(head.session(), Ok(None), "an application gets the cookie");
});

fn is_base64url(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || *octet == b'-' || *octet == b'_'
}
