//! What might *Your account* show?

use zeroize::Zeroizing;

use super::*;

/// Every page of it.
pub(super) fn all(outside: &str) -> Vec<Sample> {
    let mut samples = lists(outside);
    samples.extend(changes(outside));
    samples
}

fn lists(outside: &str) -> Vec<Sample> {
    let texts = shell().texts;
    let name = format!("alice-desktop{outside}");
    let notice = Notice {
        severity: Severity::Success,
        title: texts.account.removed,
        text: "",
    };
    let devices = DevicesPage {
        shell: shell(),
        state: outside,
        notice: Some(notice),
        devices: vec![device(&name, "enr1", true), device("Alice’s phone", "enr2", false)],
    };
    let sessions = SessionsPage {
        shell: shell(),
        state: outside,
        notice: None,
        sessions: vec![session(outside, "ses1", true), session(outside, "ses2", false)],
    };
    let factors = FactorsPage {
        shell: shell(),
        state: outside,
        notice: None,
        released: Some(at("2026-11-25T17:05:00Z")),
        password: Some(factor("aut1")),
        totp: Some(factor("aut2")),
        keys: vec![
            SecurityKeyLine {
                id: "aut3".to_owned(),
                name: &name,
                since: at("2026-11-20T09:12:00Z"),
                last_used: Some(at("2026-11-24T16:58:00Z")),
            },
            SecurityKeyLine {
                id: "aut4".to_owned(),
                name: "Spare key",
                since: at("2026-11-20T09:14:00Z"),
                last_used: None,
            },
        ],
        codes: Some(factor("aut5")),
        codes_left: 7,
        devices: 2,
    };
    let empty = FactorsPage {
        shell: shell(),
        state: outside,
        notice: None,
        released: None,
        password: None,
        totp: None,
        keys: Vec::new(),
        codes: None,
        codes_left: 0,
        devices: 0,
    };
    let activity = ActivityPage {
        shell: shell(),
        lines: vec![
            happened(texts.activity.signed_in, &name, false),
            happened(texts.activity.not_proved, "", true),
        ],
    };
    vec![
        sample("account-devices", &devices),
        sample("account-sessions", &sessions),
        sample("account-factors", &factors),
        sample("account-factors-none", &empty),
        sample("account-activity", &activity),
    ]
}

fn changes(outside: &str) -> Vec<Sample> {
    let texts = shell().texts;
    let username = format!("alice@example.com{outside}");
    let password = |error| ChangePassword {
        shell: shell(),
        state: outside,
        username: &username,
        has_one: true,
        error,
    };
    let code = QrCode::of("otpauth://totp/auth.localhost:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").unwrap();
    let totp = AddTotp {
        shell: shell(),
        state: outside,
        offered: outside,
        replaces: false,
        code: &code,
        secret: Zeroizing::new("JBSW Y3DP EHPK 3PXP".to_owned()),
        address: "otpauth://totp/auth.localhost:alice?secret=JBSWY3DPEHPK3PXP",
        error: Some(texts.add_totp.wrong),
    };
    let make = MakeRecoveryCodes {
        shell: shell(),
        state: outside,
        left: 7,
    };
    let codes: Vec<_> = (0..10)
        .map(|number| Zeroizing::new(format!("k7m2q-9d4xw-hj3vn-{number}t5b8")))
        .collect();
    let made = RecoveryCodes {
        shell: shell(),
        codes: &codes,
    };
    let removal = ConfirmRemoval {
        shell: shell(),
        state: outside,
        id: "enr1",
        what: &username,
        consequence: texts.devices.consequence,
        action: "/account/devices/remove",
        back: "/account/devices",
    };
    vec![
        sample("account-password", &password(None)),
        sample(
            "account-password-short",
            &password(Some(texts.change_password.too_short)),
        ),
        sample("account-totp", &totp),
        sample("account-recovery-codes", &make),
        sample("account-recovery-codes-made", &made),
        sample("account-remove", &removal),
    ]
}

fn device<'a>(name: &'a str, id: &str, active: bool) -> AccountDevice<'a> {
    AccountDevice {
        id: id.to_owned(),
        line: DeviceLine {
            name,
            platform: directory::Platform::Linux,
            managed: true,
            active,
            current: active,
            added: false,
            last_proof: active.then(|| at("2026-11-24T17:05:00Z")),
        },
        secure_hardware: active,
        hardware_key: active,
        verified: if active { Verified::InHardware } else { Verified::Never },
        enrolled: at("2026-11-20T09:12:00Z"),
        posture: vec![("Disk encryption", "on"), ("Firewall", "off")],
        reported: Some(at("2026-11-24T17:05:00Z")),
    }
}

fn session(outside: &str, id: &str, here: bool) -> SessionLine {
    SessionLine {
        id: id.to_owned(),
        browser: format!("Firefox on Linux{outside}"),
        address: "192.0.2.7".to_owned(),
        since: at("2026-11-24T16:58:00Z"),
        seen: at("2026-11-24T17:05:00Z"),
        factors: "Password + Device (alice-laptop)".to_owned(),
        here,
    }
}

fn factor(id: &str) -> KnownFactor {
    KnownFactor {
        id: id.to_owned(),
        since: at("2026-11-20T09:12:00Z"),
    }
}

fn happened(what: &'static str, detail: &str, failed: bool) -> ActivityLine {
    ActivityLine {
        at: at("2026-11-24T17:05:00Z"),
        what,
        detail: detail.to_owned(),
        by: failed.then_some("by somebody else"),
        address: Some("192.0.2.7".to_owned()),
        failed,
    }
}

fn at(text: &str) -> Moment {
    Moment(text.parse().unwrap())
}
