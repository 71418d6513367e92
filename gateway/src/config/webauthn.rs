//! What does the configuration say of security keys? Whose word on their hardware counts, and for which models.

use super::KeyAttestation;
use super::check::Checker;
use super::raw::RawWebauthn;
use super::values::Expected;

/// The outer option is empty after a problem.
pub(super) fn check_webauthn(raw: &RawWebauthn, checker: &mut Checker<'_>) -> Option<Option<KeyAttestation>> {
    let Some(raw) = &raw.attestation else {
        return Some(None);
    };
    let key = "sign_in.webauthn.attestation";
    if raw.roots.is_empty() {
        checker.refuse(
            &format!("{key}.roots"),
            "expected one item at least, found an empty list".to_owned(),
        );
    }
    let roots = raw.roots.iter().enumerate();
    let roots: Vec<_> = roots
        .map(|(index, file)| checker.file(&format!("{key}.roots[{index}]"), file))
        .collect();
    let models = checker.all(&format!("{key}.models"), &raw.models, model);
    Some(Some(KeyAttestation {
        roots: roots.into_iter().collect::<Option<_>>()?,
        models: models?.into_iter().collect(),
        required: raw.required,
    }))
}

/// An AAGUID, as vendors write it.
fn model(text: &str) -> Result<String, Expected> {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let digits = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    match digits && groups == [8, 4, 4, 4, 12] {
        true => Ok(text.to_owned()),
        false => Err(Expected::new(
            "an AAGUID in lower case such as 2fc0579f-8113-47ea-b116-bb5a8db9202a",
        )),
    }
}
