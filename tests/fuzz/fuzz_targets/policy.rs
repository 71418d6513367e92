#![no_main]
//! Are policies that load decided as a plain walk through all of them would, and others refused with a place in their text?
//! Files are parted by a NUL.

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use policies::reference::Question;
use policies::{AccessRequest, CacheLimits, Decider, PolicyFile, PolicySet, cases};

fuzz_target!(|octets: &[u8]| {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let named = |(number, text): (usize, &str)| PolicyFile {
        name: format!("{number}.cedar"),
        text: text.to_owned(),
    };
    let mut files: Vec<PolicyFile> = text.split('\0').take(MOST_FILES).enumerate().map(named).collect();
    let set = match PolicySet::load(&files) {
        Ok(set) => Arc::new(set),
        Err(errors) => {
            assert!(!errors.findings().is_empty());
            for finding in errors.findings() {
                let file = files.iter().find(|file| file.name == finding.file()).unwrap();
                assert!((1..=1 + file.text.matches('\n').count()).contains(&finding.line()));
                assert!(!finding.problem().to_string().is_empty());
                let _ = finding.render(false);
            }
            return;
        }
    };
    files.reverse();
    assert_eq!(
        PolicySet::load(&files).unwrap().version(),
        set.version(),
        "the order of files matters"
    );

    let decider = Decider::new(Arc::clone(&set), CacheLimits::default());
    for request in REQUESTS.iter() {
        let plainly = Question::of(request).unwrap().ask(&set).map(|ids| ids.to_vec());
        for remembered in [false, true] {
            let decided = decider.decide(request).map(|permit| permit.policies().to_vec());
            assert_eq!(decided, plainly, "remembered: {remembered}");
        }
        assert!(plainly.is_err() || text.contains("permit"), "permitted by nothing");
    }
});

/// What is asked of them: the shipped cases' users, devices and applications.
static REQUESTS: LazyLock<Vec<AccessRequest>> = LazyLock::new(|| {
    let files = [
        include_str!("../../../policies/cases/demo.json"),
        include_str!("../../../policies/cases/rules.json"),
    ];
    let requests = files.iter().flat_map(|json| cases::requests(json).unwrap());
    requests.map(|(_, request)| request).step_by(5).collect()
});

const MOST_FILES: usize = 4;
