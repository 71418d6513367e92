//! Is what `docs/policies.md` shows true: do its policies load, are its cases decided so, and is its report the current one?

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use policies::{PolicyFile, PolicySet, SHIPPED, cases};

#[test]
fn every_policy_shown_is_fit_and_every_case_shown_is_decided_so() {
    let mut run = 0;
    for section in DOCUMENT.split("\n## ") {
        // Cases are about the policies shown in their section, and else about the shipped ones.
        let policies = match blocks(section, "cedar").as_slice() {
            [] => shipped(),
            texts => load(texts),
        };
        for json in blocks(section, "json") {
            let outcomes = cases::run(&policies, json).unwrap();
            assert!(outcomes.iter().all(cases::CaseOutcome::passed), "{outcomes:#?}");
            run += outcomes.len();
        }
    }
    assert!(run >= 6);
}

#[test]
fn the_report_shown_is_that_of_the_shipped_policies() {
    let report = shipped().report(&[]).unwrap().to_string();
    let shown: Vec<&str> = report.lines().take(3).collect();

    assert!(
        DOCUMENT.contains(&shown.join("\n")),
        "the document should say: {shown:#?}"
    );
}

/// The fenced blocks of that language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let after = text.split(fence.as_str()).skip(1);
    after.map(|rest| rest.split("```").next().unwrap()).collect()
}

fn shipped() -> Arc<PolicySet> {
    load(&SHIPPED.iter().map(|(_, text)| *text).collect::<Vec<_>>())
}

fn load(texts: &[&str]) -> Arc<PolicySet> {
    let named = texts.iter().enumerate();
    let files: Vec<PolicyFile> = named
        .map(|(number, text)| PolicyFile {
            name: number.to_string(),
            text: (*text).to_owned(),
        })
        .collect();
    Arc::new(PolicySet::load(&files).unwrap())
}

const DOCUMENT: &str = include_str!("../../docs/policies.md");
