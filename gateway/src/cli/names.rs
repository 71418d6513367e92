//! Which one is meant? People say names; commands need ids.

use directory::{DeviceId, GroupId};
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;

/// The device with this id or this name.
pub(super) async fn device(client: &Client, name: &str) -> Result<Value, CliError> {
    if name.parse::<DeviceId>().is_ok() {
        return client.get(&["devices", name]).await;
    }
    let search = format!("name eq {}", json!(name));
    pick(
        "device",
        "id",
        name,
        client.page(&["devices"], &[("search", &search), FEW]).await?,
    )
}

/// The group with this id or this name.
pub(super) async fn group(client: &Client, name: &str) -> Result<Value, CliError> {
    if name.parse::<GroupId>().is_ok() {
        return client.get(&["groups", name]).await;
    }
    let mut found = client.all(&["groups"], &[("q", name)]).await?;
    found.retain(|group| group.pointer("/profile/name").is_some_and(|known| known == name));
    pick("group", "id", name, found)
}

/// The certificate whose fingerprint begins so; colons and capitals, as other tools write them, do not matter.
pub(super) async fn certificate(client: &Client, name: &str) -> Result<Value, CliError> {
    let beginning = name.replace(':', "").to_ascii_lowercase();
    let search = format!("fingerprint sw {}", json!(beginning));
    pick(
        "certificate",
        "fingerprint",
        name,
        client.page(&["certificates"], &[("search", &search), FEW]).await?,
    )
}

/// What a thing is called by the API.
pub(super) fn id<'a>(thing: &'a Value, member: &str) -> &'a str {
    thing.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// The only one that was found.
fn pick(what: &'static str, member: &str, name: &str, mut found: Vec<Value>) -> Result<Value, CliError> {
    let name = name.to_owned();
    match (found.pop(), found.as_slice()) {
        (None, _) => Err(CliError::NoneNamed { what, name }),
        (Some(only), []) => Ok(only),
        (Some(last), others) => {
            let ids = others
                .iter()
                .chain([&last])
                .map(|thing| id(thing, member).to_owned())
                .collect();
            Err(CliError::SeveralNamed { what, name, ids })
        }
    }
}

/// As many as a message can list.
const FEW: (&str, &str) = ("limit", "10");

#[cfg(test)]
mod tests {
    use super::*;

    fn things(ids: &[&str]) -> Vec<Value> {
        ids.iter().map(|id| json!({ "id": id })).collect()
    }

    #[test]
    fn one_thing_of_a_name_is_meant() {
        assert_eq!(pick("device", "id", "laptop", things(&["dev1"])).unwrap()["id"], "dev1");
    }

    #[test]
    fn no_thing_of_a_name_is_said() {
        let none = pick("device", "id", "laptop", things(&[])).unwrap_err();
        assert_eq!(none.to_string(), "there is no device `laptop`");
    }

    #[test]
    fn several_things_of_a_name_are_told_apart_by_id() {
        let several = pick("device", "id", "laptop", things(&["dev1", "dev2"])).unwrap_err();
        assert_eq!(
            several.to_string(),
            "`laptop` names more than one device: say which by id, one of dev1, dev2"
        );
    }
}
