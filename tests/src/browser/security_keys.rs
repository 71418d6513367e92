//! Which security keys does a browser find? Those of WebDriver's virtual authenticators.

use serde_json::{Value, json};

use super::Browser;

/// What a virtual authenticator is like.
#[derive(Debug, Clone, Copy)]
pub struct VirtualKey {
    /// `usb` for a security key, `internal` for the computer's own passkeys.
    pub transport: &'static str,
    /// Whether it keeps credentials that find their user by themselves.
    pub keeps_users: bool,
    /// Whether it can verify its user, and does.
    pub verifies: bool,
}

impl Browser {
    /// Plugs one in. Whoever is asked touches it at once.
    pub fn plug_in(&self, key: VirtualKey) {
        let body = json!({
            "protocol": "ctap2",
            "transport": key.transport,
            "hasResidentKey": key.keeps_users,
            "hasUserVerification": key.verifies,
            "isUserConsenting": true,
            "isUserVerified": key.verifies,
        });
        let plugged = self.driver.post("webauthn/authenticator", &body);
        let id = plugged.unwrap_or_else(|error| panic!("no virtual authenticator: {error}"));
        assert!(matches!(id, Value::String(_)), "{id}");
    }

    /// Makes it one of those browsers that offer passkeys only when a page asks, from the next page on.
    pub fn offer_no_passkeys_beside_fields(&self) {
        let source = "PublicKeyCredential.isConditionalMediationAvailable = async () => false";
        self.cdp("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": source }));
    }
}
