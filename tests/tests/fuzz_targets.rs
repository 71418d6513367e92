//! Is every fuzz target run, and does each have something to begin with?

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn every_fuzz_target_is_run_and_has_seeds() {
    let targets = names(&repository("tests/fuzz/fuzz_targets"));
    let seeded = names(&repository("tests/fuzz/corpus"));
    let script = std::fs::read_to_string(repository("tests/fuzz/run.sh")).unwrap();
    let run = script.split_once("${*:-").and_then(|(_, rest)| rest.split_once('}'));
    let run: BTreeSet<String> = run.unwrap().0.split_whitespace().map(str::to_owned).collect();

    assert!(targets.len() > 10, "{targets:?}");
    assert_eq!(run, targets);
    assert_eq!(seeded, targets);
    for target in targets {
        let seeds = names(&repository("tests/fuzz/corpus").join(&target));
        assert!(!seeds.is_empty(), "{target}");
    }
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// What is in a folder, without extensions.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    entries.map(|entry| name(entry.unwrap().path())).collect()
}
