//! What might the pages show? Every page with something in each field, for tests and for looking at them.

mod account;

use super::*;

/// A page as it is sent.
pub(super) struct Sample {
    /// The page's name.
    pub(super) name: &'static str,
    /// The page.
    pub(super) html: String,
    /// What a browser may do with it.
    pub(super) policy: String,
}

/// Every page; what comes from outside contains `outside`.
pub(super) fn all(outside: &str) -> Vec<Sample> {
    let mut samples = signing_in(outside);
    samples.extend(by_mail(outside));
    samples.extend(signed_in(outside));
    samples.extend(devices(outside));
    samples.extend(account::all(outside));
    samples
}

/// The page that has nothing to show.
pub(super) fn renew_frame() -> Sample {
    let page = RenewFrame {
        shell: shell(),
        application: WIKI,
        ports: &PORTS,
        probe_timeout_ms: 100,
        answer_timeout_ms: 5_000,
    };
    sample("renew-frame", &page)
}

fn signing_in(outside: &str) -> Vec<Sample> {
    let texts = shell().texts;
    let name = format!("Payroll{outside}");
    let username = format!("alice@example.com{outside}");
    let hint = Some(username.as_str());
    let state = format!("state{outside}");
    let application = Some(Application {
        name: &name,
        origin: PAYROLL,
    });
    let identify = Identify {
        shell: shell(),
        application,
        state: &state,
        username: None,
        notice: None,
        error: None,
        search: Some(search(&state, None, true)),
        passkeys: Some(key_search(&state, true)),
    };
    let password = |error, wait| PasswordPage {
        shell: shell(),
        application,
        state: &state,
        username: &username,
        change: "/sign-in?change",
        other: Some("/sign-in/methods"),
        error,
        wait,
    };
    let code = |error| CodePage {
        shell: shell(),
        application,
        state: &state,
        username: &username,
        change: "/sign-in?change",
        other: Some("/sign-in/methods"),
        error,
        wait: None,
    };
    vec![
        sample("identify", &identify),
        sample(
            "identify-shut-out",
            &Identify {
                username: hint,
                notice: Some(Notice {
                    severity: Severity::Warning,
                    title: texts.notices.device_shut_out_title,
                    text: texts.notices.device_shut_out_text,
                }),
                error: Some(texts.identify.missing),
                search: None,
                passkeys: None,
                ..identify
            },
        ),
        sample(
            "methods",
            &Methods {
                shell: shell(),
                application,
                username: &username,
                change: "/sign-in?change",
                notice: Some(Notice {
                    severity: Severity::Error,
                    title: texts.notices.device_failed_title,
                    text: texts.notices.device_failed_text,
                }),
                offers: offers(texts),
            },
        ),
        sample("password", &password(None, None)),
        sample("password-wrong", &password(Some(texts.password.wrong), Some(30))),
        sample("code", &code(None)),
        sample("code-wrong", &code(Some(texts.code.wrong))),
        sample(
            "device",
            &DevicePage {
                shell: shell(),
                application,
                username: hint,
                change: "/sign-in?change",
                other: Some("/sign-in/methods"),
                search: search(&state, hint, false),
            },
        ),
        sample(
            "webauthn",
            &KeyPage {
                shell: shell(),
                application,
                username: hint,
                change: "/sign-in?change",
                other: Some("/sign-in/methods"),
                search: key_search(&state, false),
            },
        ),
        sample(
            "push",
            &PushPage {
                shell: shell(),
                application,
                state: &state,
                username: &username,
                change: "/sign-in?change",
                other: Some("/sign-in/methods"),
                notice: Some(Notice {
                    severity: Severity::Warning,
                    title: texts.push.over_title,
                    text: texts.push.over_text,
                }),
            },
        ),
        sample(
            "push-wait",
            &PushWait {
                shell: shell(),
                application,
                state: &state,
                push: outside,
                username: &username,
                change: "/sign-in?change",
                other: "/sign-in/push",
                number: Some("42"),
                status_url: "/sign-in/push/status",
                notice: None,
            },
        ),
        sample(
            "expired",
            &Expired {
                shell: shell(),
                start: "/sign-in",
            },
        ),
        sample(
            "signed-out",
            &SignedOut {
                shell: shell(),
                everywhere: false,
                sign_in: "/sign-in",
            },
        ),
    ]
}

fn by_mail(outside: &str) -> Vec<Sample> {
    let texts = shell().texts;
    let name = format!("Payroll{outside}");
    let username = format!("alice@example.com{outside}");
    let state = format!("state{outside}");
    let application = Some(Application {
        name: &name,
        origin: PAYROLL,
    });
    let code = |error| EmailCode {
        shell: shell(),
        application,
        state: &state,
        username: &username,
        change: "/sign-in?change",
        again: "/sign-in/email",
        other: Some("/sign-in/methods"),
        error,
        wait: None,
    };
    let recovery = |error| RecoveryPage {
        shell: shell(),
        application,
        state: &state,
        username: &username,
        change: "/sign-in?change",
        other: None,
        error,
        wait: None,
    };
    let start = EmailStart {
        shell: shell(),
        application,
        state: &state,
        username: &username,
        change: "/sign-in?change",
        other: Some("/sign-in/methods"),
        wait: Some(30),
    };
    let link = EmailLink {
        shell: shell(),
        application,
        token: &state,
        username: &username,
    };
    vec![
        sample("email-start", &start),
        sample("email-code", &code(None)),
        sample("email-code-wrong", &code(Some(texts.email.wrong))),
        sample("email-link", &link),
        sample("recovery", &recovery(None)),
        sample("recovery-wrong", &recovery(Some(texts.recovery.wrong))),
        sample("email-elsewhere", &EmailElsewhere { shell: shell() }),
    ]
}

fn signed_in(outside: &str) -> Vec<Sample> {
    let texts = shell().texts;
    let name = format!("Payroll{outside}");
    let user = format!("alice@example.com{outside}");
    let policy = format!("payroll.managed{outside}");
    let device = format!("alice-desktop{outside}");
    let application = Application {
        name: &name,
        origin: PAYROLL,
    };
    let reasons = [
        reason(
            "Payroll is open to company-managed devices only.",
            "become-managed",
            &policy,
        ),
        reason(
            "Changes in the vault need your PIN or fingerprint, within the hour.",
            "sign-in-device-uv",
            &policy,
        ),
    ];
    let link = Link {
        href: "https://auth.localhost:8443/sign-in",
        text: "Other ways to sign in",
    };
    let message = Message {
        reasons: &reasons,
        link: Some(link),
        code: "device-deactivated",
        ..Message::new(&name, "This device was deactivated.", shell())
    };
    vec![
        sample(
            "step-up",
            &StepUp {
                shell: shell(),
                application,
                user: &user,
                reasons: &reasons,
                offers: offers(texts),
                another_account: "/sign-in?another",
            },
        ),
        sample(
            "nothing-helps",
            &NothingHelps {
                shell: shell(),
                application,
                user: &user,
                reasons: &reasons,
                again: PAYROLL,
                another_account: "/sign-in?another",
                state: outside,
            },
        ),
        sample("home", &home(&device, &user)),
        sample(
            "webauthn-add",
            &AddKey {
                shell: shell(),
                user: &user,
                back: "/account/factors",
                done: "/account/factors",
                search: key_search(outside, false),
            },
        ),
        Sample {
            name: "message",
            html: message.render().unwrap(),
            policy: message.policy(),
        },
    ]
}

fn home<'a>(name: &'a str, user: &'a str) -> Home<'a> {
    let texts = shell().texts;
    let at = |text: &str| Moment(text.parse().unwrap());
    let device = DeviceLine {
        name: "alice-laptop",
        platform: directory::Platform::Linux,
        managed: true,
        active: true,
        current: true,
        added: false,
        last_proof: Some(at("2026-11-24T17:05:00Z")),
    };
    Home {
        shell: shell(),
        state: name,
        user,
        since: at("2026-11-24T16:58:00Z"),
        notice: Some(Notice {
            severity: Severity::Success,
            title: texts.notices.device_added_title,
            text: texts.notices.device_added_text,
        }),
        devices: vec![
            DeviceLine {
                name,
                managed: false,
                current: false,
                added: true,
                last_proof: None,
                ..device
            },
            DeviceLine {
                name: "Alice’s phone",
                platform: directory::Platform::Ios,
                active: false,
                current: false,
                ..device
            },
            device,
        ],
        sessions: 3,
    }
}

fn devices(outside: &str) -> Vec<Sample> {
    let name = format!("alice-desktop{outside}");
    vec![
        sample(
            "enroll-device",
            &EnrollDevice {
                shell: shell(),
                user: "alice@example.com",
                another_account: "/sign-in?another",
                name: &name,
                search: EnrollSearch {
                    state: outside,
                    key: "Zm9v",
                    ports: &PORTS,
                    probe_timeout_ms: 100,
                    answer_timeout_ms: 300_000,
                    challenge_url: "/enroll-device/challenge",
                    token_url: "/enroll-device/token",
                    done_url: "/",
                },
            },
        ),
        sample(
            "enroll-start",
            &EnrollStart {
                shell: shell(),
                gateway: "https://auth.localhost:8443",
            },
        ),
        sample(
            "device-test",
            &DeviceTest {
                shell: shell(),
                ports: &PORTS,
                probe_timeout_ms: 100,
            },
        ),
    ]
}

fn shell() -> Shell<'static> {
    Shell {
        offers_languages: true,
        ..Shell::new(REQUEST, &UNBRANDED)
    }
}

fn search<'a>(state: &'a str, login_hint: Option<&'a str>, silent: bool) -> DeviceSearch<'a> {
    DeviceSearch {
        state,
        ports: &PORTS,
        probe_timeout_ms: 100,
        answer_timeout_ms: 120_000,
        challenge_url: "/sign-in/device/challenge",
        finish_url: "/sign-in/device/finish",
        silent,
        verify: false,
        login_hint,
    }
}

fn key_search(state: &str, quiet: bool) -> KeySearch<'_> {
    KeySearch {
        state,
        options_url: "/sign-in/webauthn/options",
        finish_url: "/sign-in/webauthn/finish",
        quiet,
    }
}

fn offers(texts: &'static Texts) -> Vec<Offer<'static>> {
    let of = |id, title, hint, href| Offer { id, title, hint, href };
    vec![
        of(
            "device",
            texts.methods.device,
            texts.methods.device_hint,
            "/sign-in/device",
        ),
        of(
            "webauthn",
            texts.methods.webauthn,
            texts.methods.webauthn_hint,
            "/sign-in/webauthn",
        ),
        of(
            "password",
            texts.methods.password,
            texts.methods.password_hint,
            "/sign-in/password",
        ),
    ]
}

fn reason<'a>(message: &'a str, advice: &str, policy: &'a str) -> PageReason<'a> {
    PageReason {
        message,
        help: Some(ENGLISH.help(advice).to_owned()),
        policy,
    }
}

fn sample(name: &'static str, page: &impl Page) -> Sample {
    Sample {
        name,
        html: page.render().unwrap(),
        policy: page.policy().to_string(),
    }
}

const REQUEST: &str = "01K4ZV6Q8J3M2N5P7R9T";
const PAYROLL: &str = "https://payroll.localhost:8443";
const WIKI: &str = "https://wiki.localhost:8443";
const PORTS: [u16; 3] = [47_600, 47_601, 47_602];
