#![no_main]
//! Is every configuration taken, or refused with a line that it has and words that help?

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use latchkey::fuzzing::{ConfigProblem, read_configuration};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

fuzz_target!(|text: &[u8]| {
    let read = read(text);
    assert_eq!(read, self::read(text), "read twice, it is another");
    match read {
        Ok(()) => {
            let text = std::str::from_utf8(text).unwrap();
            let with_one_more = format!("{}\nno_such_key: 1\n", text.trim_end_matches("..."));
            // A key after the last one is unknown; where there is no place for one, it is no YAML.
            assert!(self::read(with_one_more.as_bytes()).is_err(), "an unknown key is taken");
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            let lines = 1 + String::from_utf8_lossy(text).lines().count();
            for (line, key, message) in problems {
                assert!((1..=lines).contains(&line), "line {line} of {lines}: {key}: {message}");
                assert!(!message.trim().is_empty(), "{key}");
            }
        }
    }
});

fn read(text: &[u8]) -> Result<(), Vec<ConfigProblem>> {
    let file = PLACE.path().join("latchkey.yaml");
    fs::write(&file, text).unwrap();
    read_configuration(&file)
}

/// A folder with the files that the seeds name.
static PLACE: LazyLock<TempDir> = LazyLock::new(|| {
    let place = tempfile::tempdir().unwrap();
    let tls = Path::new("tls");
    for folder in ["policies", "tls", "data"] {
        fs::create_dir(place.path().join(folder)).unwrap();
    }
    for name in [
        "server.pem",
        "server.key",
        "device-ca.pem",
        "device-ca.key",
        "other-ca.pem",
        "other-ca.crl",
        "internal-ca.pem",
        "tpm-maker.pem",
        "key-maker.pem",
        "management-ca.pem",
        "management-ca.key",
        "mdm-ca.pem",
        "mdm-ca.crl",
        "mail-ca.pem",
        "mail-password",
    ] {
        fs::write(place.path().join(tls).join(name), "").unwrap();
    }
    fs::write(
        place.path().join("logo.svg"),
        "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
    )
    .unwrap();
    place
});
