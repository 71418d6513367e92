//! Which pages do people see? Each with how one gets there, for whoever wants to look at them all.

use crate::agent::PASSWORD;
use crate::authenticator::{Authenticator, Says};
use crate::browser::{Browser, Permission, Setup};
use crate::demo::Demo;

/// A page, and who sees it.
pub struct Page {
    /// What it is called here.
    pub name: &'static str,
    beside: Beside,
    open: fn(&Browser, &Demo),
}

/// What there is beside the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// Nothing.
    Nothing,
    /// This device's certificate, in the browser.
    Certificate(&'static str),
    /// Alice's agent, and what she says when it asks.
    Agent(Says),
    /// A wish of hers that no page may reach this machine, where the gateway is on the Internet.
    Refusal,
}

/// A demo with somebody in every state that has a page of its own, and a wiki that wants a PIN.
pub fn demo() -> Demo {
    let demo = Demo::with_agents();
    demo.user("dora", PASSWORD, &["employees"]);
    for device in ["revoked-laptop", "lost-laptop"] {
        demo.enroll("dora", device);
    }
    let query = format!("/api/v1/certificates?device={}", demo.device_id("revoked-laptop"));
    for certificate in demo.admin("GET", &query, None).json().as_array().unwrap() {
        demo.command(&["cert", "revoke", certificate["fingerprint"].as_str().unwrap()]);
    }
    demo.command(&["device", "deactivate", "lost-laptop"]);
    let file = demo.file("policies/wiki.cedar");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + PIN).unwrap();
    demo.reload();
    demo
}

/// Opens one page after the other in browsers like this, and has each looked at.
pub fn visit(demo: &Demo, setup: &Setup, mut look: impl FnMut(&Page, &Browser)) {
    let usual = setup.clone().start(demo);
    for page in PAGES {
        // A page that is left open may ask once more, and be given cookies that the next one does not expect.
        usual.goto("about:blank");
        usual.clear_cookies();
        let own = page.beside.browser(demo, setup);
        let browser = own.as_ref().unwrap_or(&usual);
        let _agent = match page.beside {
            Beside::Agent(says) => Some(Authenticator::start(demo, "alice-laptop", says)),
            Beside::Nothing | Beside::Certificate(_) | Beside::Refusal => None,
        };
        (page.open)(browser, demo);
        look(page, browser);
    }
}

impl Beside {
    /// A browser that only this page has.
    fn browser(self, demo: &Demo, setup: &Setup) -> Option<Browser> {
        match self {
            Self::Nothing | Self::Agent(_) => None,
            Self::Certificate(device) => Some(setup.clone().with_identity(demo.identity(device)).start(demo)),
            Self::Refusal => {
                let browser = setup.clone().as_if_public(demo.address()).start(demo);
                browser.set_permission_of(&demo.url("auth", ""), "loopback-network", Permission::Denied);
                Some(browser)
            }
        }
    }
}

/// Comes to the page of the device that is asked for by name.
fn to_device(browser: &Browser, demo: &Demo, app: &str) {
    browser.goto(&demo.url(app, "/"));
    browser.give_username("alice");
    browser.choose_if_asked("This device", "#device-title");
}

/// Comes to the page that asks for a password for the news.
fn to_password(browser: &Browser, demo: &Demo, user: &str) {
    browser.goto(&demo.url("news", "/"));
    browser.give_username(user);
    browser.choose_if_asked("Password", "#password");
    browser.wait_for("#password");
}

/// Comes to the page that asks carol for a code.
fn to_code(browser: &Browser, demo: &Demo) {
    to_password(browser, demo, "carol");
    browser.give_password(&demo.secret("carol", "password"));
    browser.choose("Code");
    browser.wait_for("#code");
}

/// Comes to the page that offers carol a letter.
fn to_email(browser: &Browser, demo: &Demo) {
    to_password(browser, demo, "carol");
    browser.give_password(&demo.secret("carol", "password"));
    browser.choose("E-mail");
    browser.wait_for("form[action='/sign-in/email/send']");
}

/// Has a letter sent to carol.
fn to_email_code(browser: &Browser, demo: &Demo) {
    to_email(browser, demo);
    browser.click("form[action='/sign-in/email/send'] button");
    browser.wait_for("#code");
}

/// Gives dora recovery codes.
fn to_recovery_codes(browser: &Browser, demo: &Demo) {
    to_account(browser, demo, "/account/recovery-codes", "Make new codes");
    browser.click("form[action='/account/recovery-codes'] button");
    browser.wait_for_text("Your recovery codes");
}

/// Signs dora in, whose strongest is her password, and comes to a page of her account.
fn to_account(browser: &Browser, demo: &Demo, path: &str, shows: &str) {
    browser.goto(&demo.url("auth", path));
    browser.give_username("dora");
    browser.choose_if_asked("Password", "#password");
    browser.give_password(PASSWORD);
    browser.wait_for_text(shows);
}

/// Comes to the page that has other devices asked.
fn to_push(browser: &Browser, demo: &Demo) {
    browser.goto(&demo.url("auth", "/sign-in"));
    browser.give_username("alice");
    browser.choose("Another device");
    browser.wait_for_text("Use another device");
}

const fn page(name: &'static str, beside: Beside, open: fn(&Browser, &Demo)) -> Page {
    Page { name, beside, open }
}

const PAGES: &[Page] = &[
    page("identify", Beside::Nothing, |browser, demo| {
        browser.goto(&demo.url("news", "/"));
        browser.wait_for("#username");
    }),
    page("identify-empty", Beside::Nothing, |browser, demo| {
        browser.goto(&demo.url("auth", "/sign-in"));
        browser.give_username(" ");
        browser.wait_for_text("Type your username.");
    }),
    page("methods", Beside::Nothing, |browser, demo| {
        browser.goto(&demo.url("auth", "/sign-in"));
        browser.give_username("alice");
        browser.wait_for(".offers");
    }),
    page("push", Beside::Nothing, to_push),
    page("push-wait", Beside::Nothing, |browser, demo| {
        to_push(browser, demo);
        browser.click("main button");
        browser.wait_for(".match");
    }),
    page("device-not-found", Beside::Nothing, |browser, demo| {
        to_device(browser, demo, "payroll");
        browser.wait_for_text("Your device was not found");
    }),
    page("device-confirm", Beside::Agent(Says::Nothing), |browser, demo| {
        browser.goto(&demo.url("wiki", "/"));
        browser.choose("This device");
        browser.wait_for_text("Confirm on your device");
    }),
    page("device-denied", Beside::Agent(Says::No), |browser, demo| {
        browser.goto(&demo.url("wiki", "/"));
        browser.choose("This device");
        browser.wait_for_text("You said no on your device");
    }),
    page("device-blocked", Beside::Refusal, |browser, demo| {
        to_device(browser, demo, "payroll");
        browser.wait_for_text("Your browser blocks the way");
    }),
    page("password", Beside::Nothing, |browser, demo| {
        to_password(browser, demo, "alice")
    }),
    page("password-wrong", Beside::Nothing, |browser, demo| {
        to_password(browser, demo, "nobody");
        browser.give_password("wrong horse");
        browser.wait_for("#password-error, .notice");
    }),
    page("code", Beside::Nothing, to_code),
    page("code-wrong", Beside::Nothing, |browser, demo| {
        to_code(browser, demo);
        browser.give_code("000000");
        browser.wait_for("#code-error, .notice");
    }),
    page("email-start", Beside::Nothing, to_email),
    page("email-code", Beside::Nothing, to_email_code),
    page("email-code-wrong", Beside::Nothing, |browser, demo| {
        to_email_code(browser, demo);
        browser.give_code("00000000");
        browser.wait_for("#code-error, .notice");
    }),
    page("email-link", Beside::Nothing, |browser, demo| {
        let before = demo.mails_to("carol@example.com").len();
        to_email_code(browser, demo);
        browser.goto(&demo.mail_to("carol@example.com", before).link());
        browser.wait_for("form[action='/sign-in/email/link']");
    }),
    page("email-elsewhere", Beside::Nothing, |browser, demo| {
        browser.goto(&demo.url("auth", "/sign-in/email/link?token=none"));
        browser.wait_for_text("This link does nothing here");
    }),
    page("recovery", Beside::Nothing, |browser, demo| {
        to_recovery_codes(browser, demo);
        browser.goto(&demo.url("news", "/"));
        browser.choose("Recovery code");
        browser.wait_for("#code");
    }),
    page("account-recovery-codes", Beside::Nothing, |browser, demo| {
        to_account(browser, demo, "/account/recovery-codes", "Make new codes");
    }),
    page("account-recovery-codes-made", Beside::Nothing, to_recovery_codes),
    page("webauthn", Beside::Nothing, |browser, demo| {
        browser.goto(&demo.url("news", "/"));
        browser.give_username("carol");
        browser.choose("Security key or passkey");
        browser.wait_for_text("Your browser asks for your key");
    }),
    page("webauthn-add", Beside::Nothing, |browser, demo| {
        to_account(browser, demo, "/account/webauthn/add", "Add a security key or passkey");
        browser.wait_for("#add-key");
    }),
    page("step-up", Beside::Agent(Says::No), |browser, demo| {
        browser.goto(&demo.url("wiki", "/"));
        browser.wait_for_text("One more step");
    }),
    page("nothing-helps", Beside::Nothing, |browser, demo| {
        browser.sign_in(demo, "bob");
        browser.goto(&demo.url("payroll", "/"));
        browser.wait_for(".reasons");
    }),
    page("home", Beside::Nothing, |browser, demo| browser.sign_in(demo, "alice")),
    page("home-without-devices", Beside::Nothing, |browser, demo| {
        browser.sign_in(demo, "carol")
    }),
    page("account-devices", Beside::Agent(Says::No), |browser, demo| {
        browser.sign_in(demo, "alice");
        browser.goto(&demo.url("auth", "/account/devices"));
        browser.wait_for_text("Your devices");
    }),
    page("account-rename", Beside::Nothing, |browser, demo| {
        browser.sign_in(demo, "alice");
        browser.goto(&demo.url("auth", "/account/devices"));
        browser.click(".doings summary");
        browser.wait_for("input[name='name']");
    }),
    page("account-sessions", Beside::Nothing, |browser, demo| {
        to_account(browser, demo, "/account/sessions", "Your sessions");
    }),
    page("account-factors", Beside::Nothing, |browser, demo| {
        browser.sign_in(demo, "carol");
        browser.goto(&demo.url("auth", "/account/factors"));
        browser.wait_for_text("Recovery codes");
    }),
    page("account-factors-none", Beside::Nothing, |browser, demo| {
        to_account(browser, demo, "/account/factors", "Recovery codes");
    }),
    page("account-activity", Beside::Nothing, |browser, demo| {
        to_account(browser, demo, "/account/activity", "Recent activity");
    }),
    page("account-password", Beside::Nothing, |browser, demo| {
        to_account(browser, demo, "/account/password", "Change your password");
    }),
    page("account-totp", Beside::Nothing, |browser, demo| {
        to_account(browser, demo, "/account/totp", "Add an authenticator app");
    }),
    page("account-remove", Beside::Nothing, |browser, demo| {
        to_account(browser, demo, "/account/factors", "Recovery codes");
        browser.click(".doings .danger");
        browser.wait_for(".button.danger");
    }),
    page("account-step-up", Beside::Nothing, |browser, demo| {
        browser.sign_in(demo, "alice");
        browser.goto(&demo.url("auth", "/account/password"));
        browser.wait_for_text("One more step");
    }),
    page("signed-out", Beside::Nothing, |browser, demo| {
        browser.sign_in(demo, "carol");
        browser.click("form[action='/sign-out'] button");
        browser.wait_for_text("You are signed out");
    }),
    page("expired", Beside::Nothing, |browser, demo| {
        browser.goto(&demo.url("auth", "/sign-in?app=wiki&tx=none"));
        browser.wait_for_text("This page is too old");
    }),
    page("enroll-start", Beside::Nothing, |browser, demo| {
        browser.sign_in(demo, "alice");
        browser.goto(&demo.url("auth", "/enroll-device"));
        browser.wait_for("#enroll-command");
    }),
    page("enroll-device", Beside::Nothing, |browser, demo| {
        browser.sign_in(demo, "alice");
        browser.goto(&demo.url("auth", &format!("/enroll-device?key={}", "0".repeat(64))));
        browser.wait_for("#name");
    }),
    page("enroll-not-found", Beside::Nothing, |browser, demo| {
        browser.sign_in(demo, "alice");
        browser.goto(&demo.url("auth", &format!("/enroll-device?key={}", "0".repeat(64))));
        browser.click("#enroll button");
        browser.wait_for_text("No device is waiting");
    }),
    page("enroll-refused", Beside::Nothing, |browser, demo| {
        browser.sign_in(demo, "carol");
        browser.goto(&demo.url("auth", "/enroll-device"));
        browser.wait_for_text("You cannot add a device now");
    }),
    page("device-test", Beside::Nothing, |browser, demo| {
        browser.goto(&demo.url("auth", "/device-test"));
        browser.wait_for_text("Latchkey is not running");
    }),
    page("device-test-found", Beside::Agent(Says::No), |browser, demo| {
        browser.goto(&demo.url("auth", "/device-test"));
        browser.wait_for_text("Your device is found");
    }),
    page("denied", Beside::Certificate("bob-laptop"), |browser, demo| {
        browser.goto(&demo.url("payroll", "/"))
    }),
    page(
        "denied-revoked",
        Beside::Certificate("revoked-laptop"),
        |browser, demo| browser.goto(&demo.url("news", "/")),
    ),
    page(
        "denied-shut-out",
        Beside::Certificate("lost-laptop"),
        |browser, demo| browser.goto(&demo.url("news", "/")),
    ),
    page("sign-in-over", Beside::Nothing, |browser, demo| {
        browser.goto(&demo.url("wiki", "/.latchkey/session?code=none"));
    }),
    page("not-found", Beside::Nothing, |browser, demo| {
        browser.goto(&demo.url("auth", "/nothing"))
    }),
    page("application", Beside::Agent(Says::No), |browser, demo| {
        browser.goto(&demo.url("payroll", "/"));
        browser.wait_for_text("Who the gateway says you are");
    }),
];

const PIN: &str = r#"
@id("wiki.pin")
@deny_reason("The wiki wants your PIN.")
@deny_reason_de("Das Wiki verlangt Ihre PIN.")
@advice("sign-in-device-uv")
forbid (principal is User, action in Action::"access", resource == App::"wiki")
unless { context has session && context.session has device && context.session.device.userVerifiedInSoftware };
"#;
