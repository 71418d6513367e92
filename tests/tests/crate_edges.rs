//! Which crate of ours uses which? Only along the arrows of docs/architecture.md.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

#[test]
fn crates_depend_on_each_other_only_along_the_arrows() {
    let metadata = metadata();
    let ours: BTreeSet<&str> = packages(&metadata).map(name).collect();

    let edges: BTreeSet<(&str, &str)> = packages(&metadata)
        .flat_map(|package| dependencies(package).map(move |dependency| (name(package), dependency)))
        .filter(|(_, to)| ours.contains(to))
        .collect();

    let strays: Vec<_> = edges
        .iter()
        .filter(|edge| !ARROWS.contains(edge) && edge.0 != "latchkey-tests")
        .collect();
    assert!(strays.is_empty(), "not in the architecture: {strays:?}");
    assert!(edges.contains(&("latchkey", "policies")), "no edge was found at all");
}

#[test]
fn the_pure_crates_use_no_sockets_no_disk_and_no_async_runtime() {
    let metadata = metadata();

    for package in packages(&metadata).filter(|package| PURE.contains(&name(package))) {
        let shells: Vec<_> = dependencies(package)
            .filter(|dependency| SHELLS.contains(dependency))
            .collect();
        assert!(shells.is_empty(), "{} uses {shells:?}", name(package));
    }
}

/// `cargo metadata` without dependencies of dependencies: fast, and nothing is fetched.
fn metadata() -> Value {
    let manifest = format!("{}/../Cargo.toml", std::env::var("CARGO_MANIFEST_DIR").unwrap());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = [
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
        "--manifest-path",
        &manifest,
    ];
    let output = Command::new(cargo).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().unwrap().iter()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

/// What a package depends on when it is built, not only when it is tested.
fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.filter(|dependency| dependency["kind"] != "dev")
        .filter_map(|dependency| dependency["name"].as_str())
}

const ARROWS: [(&str, &str); 10] = [
    ("latchkey", "policies"),
    ("latchkey", "certs"),
    ("latchkey", "device-checks"),
    ("latchkey", "directory"),
    ("latchkey-agent", "certs"),
    ("latchkey-agent", "device-checks"),
    ("policies", "device-checks"),
    ("policies", "directory"),
    ("certs", "directory"),
    ("device-checks", "directory"),
];
const PURE: [&str; 4] = ["policies", "certs", "device-checks", "directory"];
const SHELLS: [&str; 10] = [
    "pingora",
    "tokio",
    "tokio-rustls",
    "hyper",
    "hyper-util",
    "axum",
    "sqlx",
    "reqwest",
    "rand",
    "tracing-subscriber",
];
