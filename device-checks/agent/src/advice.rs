//! What helps when the gateway says no? One table by its codes.

/// What helps against this code, where that is known; for those that say when to try again, that too.
pub fn of(code: &str, retry_after: Option<u64>) -> Option<String> {
    let helps = match code {
        "E0000004" => "check username, password and code; capitals count",
        "E0000006" | "E0000174" => {
            "the policies of your organisation do not allow this for you or this device: ask an administrator"
        }
        "E0000011" => {
            "the token was used, is over or was made for another installation: ask for a new one, or enrol with \
             username and password"
        }
        "E0000047" => {
            return Some(match retry_after {
                Some(seconds) => format!("too many tries: try again in {seconds} s"),
                None => "too many tries: try again in a few minutes".to_owned(),
            });
        }
        "E0000152" | "device-suspended" | "device-deactivated" => {
            "an administrator suspended or deactivated this device: ask them to activate it again"
        }
        "E0000153" => {
            "the device was deleted on the server: remove its accounts here (`accounts remove`), then add them again"
        }
        "E0000154" => "this account is not active on this device: remove it here, then add it again",
        "E0000155" => "the user is not active: ask an administrator",
        "E0000158" => "the organisation wants users verified: choose a PIN, a fingerprint or a face (--verify)",
        "E0000212" => "the challenge came from a page of another origin: do not sign in from there",
        "E0000265" => "another enrolment of this device is under way: finish it, or wait until it is over",
        "certificate-expired" => "the certificate is over: remove the account here, then add it again",
        "certificate-revoked" | "certificate-unknown" => {
            "the certificate was revoked: remove the account here, then add it again"
        }
        _ => return None,
    };
    Some(helps.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_protocol_has_its_advice() {
        for code in [
            "E0000004", "E0000006", "E0000011", "E0000047", "E0000152", "E0000153", "E0000154", "E0000155", "E0000158",
            "E0000174", "E0000212", "E0000265",
        ] {
            assert!(of(code, None).is_some(), "{code}");
        }
        assert_eq!(of("E0000009", None), None);
        assert_eq!(of("E0000047", Some(30)).unwrap(), "too many tries: try again in 30 s");
    }
}
