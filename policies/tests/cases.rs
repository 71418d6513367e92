//! Do the policies decide every case in `cases/` as it says, and do the two ways to decide agree on it?
//!
//! E-04, E-05, E-07, R-01, R-02, R-04, R-05, R-07, R-08, R-09, R-10, R-12, S-05, S-10, S-13, X-09, X-10, X-12, X-16: the cases name what they
//! show; those of enrolment, R-08, R-10, R-12 and X-12 as far as the policies go.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policies::reference::Question;
use policies::{CacheLimits, Decider, PolicyFile, PolicySet, SHIPPED, cases};

#[test]
fn every_case_is_decided_as_its_author_expects() {
    for file in case_files() {
        let outcomes = cases::run(&policies_for(&file), &read(&file)).unwrap();

        assert!(!outcomes.is_empty(), "{} holds no case", file.display());
        let failed: Vec<String> = outcomes
            .iter()
            .filter(|case| !case.passed())
            .map(ToString::to_string)
            .collect();
        assert!(failed.is_empty(), "{}:\n{}", file.display(), failed.join("\n"));
    }
}

#[test]
fn every_case_is_decided_alike_by_a_slice_and_by_the_whole_set() {
    for file in case_files() {
        let policies = policies_for(&file);
        let decider = Decider::new(Arc::clone(&policies), CacheLimits::default());
        for (case, request) in cases::requests(&read(&file)).unwrap() {
            let whole = Question::of(&request).unwrap().ask(&policies).map(|ids| ids.to_vec());

            let sliced = decider.decide(&request).map(|permit| permit.policies().to_vec());

            assert_eq!(sliced, whole, "{}", case.name);
        }
        for (case, action, request) in cases::organization_requests(&read(&file)).unwrap() {
            let question = Question::of_organization(&action, &request).unwrap();
            let whole = question.ask(&policies).map(|ids| ids.to_vec());

            let sliced = decider.decide_organization(&action, &request);

            assert_eq!(sliced.map(|permit| permit.policies().to_vec()), whole, "{}", case.name);
        }
    }
}

#[test]
fn a_case_that_expects_the_wrong_verdict_fails_and_says_both() {
    let wrong = r#"{ "users": { "eve": {} }, "applications": { "wiki": {} }, "cases": [
        { "name": "eve reads", "request": { "user": "eve", "app": "wiki" }, "decision": "allow" } ] }"#;

    let outcomes = cases::run(&policies_for(Path::new("shipped")), wrong).unwrap();

    assert!(!outcomes[0].passed());
    assert_eq!(
        outcomes[0].to_string(),
        "FAILED: eve reads: expected allow by [], found deny (policy) by [wiki.employees-only, wiki.registered]"
    );
}

#[test]
fn a_case_about_an_unknown_thing_is_refused_by_name() {
    let unknown = r#"{ "users": {}, "cases": [
        { "name": "who", "request": { "user": "mallory", "app": "wiki" }, "decision": "deny" } ] }"#;

    let error = cases::run(&policies_for(Path::new("shipped")), unknown).unwrap_err();

    assert_eq!(
        error.to_string(),
        "the case `who` speaks of the user `mallory`, which is not in the file"
    );
}

#[test]
fn a_case_that_mixes_applications_and_the_organization_is_refused_and_says_what_is_wrong() {
    for (request, problem) in [
        (r#"{ "user": "eve" }"#, "no application"),
        (
            r#"{ "user": "eve", "app": "wiki", "action": "createSession" }"#,
            "an application, which that action is not about",
        ),
        (
            r#"{ "user": "eve", "action": "createSession", "adminToken": true }"#,
            "a fact of `registerDevice`",
        ),
        (
            r#"{ "user": "eve", "app": "wiki", "asStrongAsStrongest": true }"#,
            "a fact of `manageAuthenticator`",
        ),
    ] {
        let file = format!(
            r#"{{ "users": {{ "eve": {{}} }}, "applications": {{ "wiki": {{}} }}, "cases": [
                {{ "name": "mixed", "request": {request}, "decision": "deny" }} ] }}"#
        );

        let error = cases::run(&policies_for(Path::new("shipped")), &file).unwrap_err();

        assert_eq!(error.to_string(), format!("the case `mixed` names {problem}"));
    }
}

fn case_files() -> Vec<PathBuf> {
    let files: Vec<PathBuf> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    assert!(files.len() >= 3);
    files
}

/// The policies beside a file of cases, or else the shipped ones.
fn policies_for(cases: &Path) -> Arc<PolicySet> {
    let beside = cases.with_extension("cedar");
    let files = match beside.exists() {
        true => vec![PolicyFile {
            name: beside.display().to_string(),
            text: read(&beside),
        }],
        false => SHIPPED
            .iter()
            .map(|(name, text)| PolicyFile {
                name: (*name).to_owned(),
                text: (*text).to_owned(),
            })
            .collect(),
    };
    Arc::new(PolicySet::load(&files).unwrap())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
