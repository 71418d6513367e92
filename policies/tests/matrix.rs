//! Who gets in where? One row for each user and device of the demo, reviewed as text.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use policies::{AccessRequest, CacheLimits, Decider, PolicyFile, PolicySet, SHIPPED, cases};

#[test]
fn the_access_matrix_is_the_one_that_was_reviewed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/access-matrix.txt");
    let matrix = matrix();

    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &matrix).unwrap();
    }

    assert_eq!(
        matrix,
        std::fs::read_to_string(&golden).unwrap(),
        "UPDATE_GOLDEN=1 rewrites it"
    );
}

fn matrix() -> String {
    let files: Vec<PolicyFile> = SHIPPED
        .iter()
        .map(|(name, text)| PolicyFile {
            name: (*name).into(),
            text: (*text).into(),
        })
        .collect();
    let decider = Decider::new(Arc::new(PolicySet::load(&files).unwrap()), CacheLimits::default());
    let cell = |text: String| format!("{text:38}");
    let mut matrix: String = ["user, device"]
        .iter()
        .chain(TARGETS.iter().map(|(name, ..)| name))
        .map(|name| cell((*name).into()))
        .collect();
    matrix.truncate(matrix.trim_end().len());
    for people in cases::requests(&asked()).unwrap().chunks(TARGETS.len()) {
        let answers = people.iter().map(|(_, request)| answer(&decider, request));
        let row: String = [people[0].0.name.clone()]
            .into_iter()
            .chain(answers)
            .map(cell)
            .collect();
        write!(matrix, "\n{}", row.trim_end()).unwrap();
    }
    matrix + "\n"
}

/// Every user with their device against every application, as a file of cases.
fn asked() -> String {
    let demo = include_str!("../cases/demo.json");
    let mut file: serde_json::Value = serde_json::from_str(demo).unwrap();
    let people = [
        ("alice", Some("alice-laptop")),
        ("alice", None),
        ("bob", Some("bob-laptop")),
        ("bob", None),
        ("carol", Some("carol-desktop")),
        ("an administrator", Some("bob-laptop")),
        ("a contractor", Some("bob-laptop")),
    ];
    let cases = people.iter().flat_map(|(user, device)| {
        TARGETS.iter().map(move |(_, app, method, path)| {
            let name = format!("{user}, {}", device.unwrap_or("no device"));
            let session = device.is_none().then_some("by password");
            let proof = device.map(|_| serde_json::json!({}));
            let request = serde_json::json!({
                "user": user, "device": device, "session": session, "proof": proof,
                "app": app, "method": method, "path": path
            });
            serde_json::json!({ "name": name, "request": request, "decision": "deny" })
        })
    });
    file["cases"] = cases.collect();
    file.to_string()
}

/// `allow`, or the requirements that are not met.
fn answer(decider: &Decider, request: &AccessRequest) -> String {
    match decider.decide(request) {
        Ok(_) => "allow".to_owned(),
        Err(denied) => {
            let prefix = format!("{}.", request.app.name);
            let ids: Vec<&str> = denied
                .policies
                .iter()
                .map(|policy| policy.as_str().trim_start_matches(&prefix))
                .collect();
            ids.join(" ")
        }
    }
}

const TARGETS: [(&str, &str, &str, &str); 6] = [
    ("wiki", "wiki", "GET", "/"),
    ("wiki/admin/x", "wiki", "GET", "/admin/x"),
    ("POST wiki", "wiki", "POST", "/"),
    ("payroll", "payroll", "GET", "/"),
    ("vault", "vault", "GET", "/"),
    ("news", "news", "GET", "/"),
];
