//! What does a person type on the pages of the auth host?

use super::{Browser, Element, PATIENCE};
use crate::demo::Demo;
use crate::process::until;
use crate::totp;

impl Browser {
    /// Types a username and goes on to what follows.
    pub fn give_username(&self, username: &str) {
        self.fill("#username", username);
        self.click("form button");
    }

    /// Types a password, once it is asked for.
    pub fn give_password(&self, password: &str) {
        self.fill("#password", password);
        self.click("form button");
    }

    /// Types a code, once it is asked for.
    pub fn give_code(&self, code: &str) {
        self.fill("#code", code);
        self.click("form button");
    }

    /// Chooses one of the ways that are offered, such as `Password`, whatever it is called in the language of the browser.
    pub fn choose(&self, way: &str) {
        self.wait_for(".offers");
        let called = self.language.all_of(way);
        let is_meant = |text: String| called.iter().any(|way| text.starts_with(way));
        let offers = self.find_all(".offer");
        let offer = offers.into_iter().find(|offer| is_meant(offer.text()));
        offer
            .unwrap_or_else(|| panic!("no `{way}` among: {}", self.text()))
            .click();
    }

    /// What is offered, in its order.
    pub fn offers(&self) -> Vec<String> {
        let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        let offers = self.find_all(".offer strong");
        offers.iter().map(|offer| first_line(offer.text())).collect()
    }

    /// The same where it may be the only way, and then is not asked for.
    pub fn choose_if_asked(&self, way: &str, otherwise: &str) {
        let shown = |css: &str| self.find_all(css).iter().any(Element::is_shown);
        let there = until(PATIENCE, || shown(".offers") || shown(otherwise));
        assert!(
            there,
            "neither ways nor `{otherwise}` at {}:\n{}",
            self.url(),
            self.text()
        );
        if shown(".offers") {
            self.choose(way);
        }
    }

    /// Gives username and password of one of the demo's users on the page that asks for them.
    pub fn give_username_and_password(&self, demo: &Demo, user: &str) {
        self.give_username(user);
        self.choose_if_asked("Password", "#password");
        self.give_password(&demo.secret(user, "password"));
    }

    /// Signs one of the demo's users in at the auth host by password; their own page shows.
    pub fn sign_in(&self, demo: &Demo, user: &str) {
        self.goto(&demo.url("auth", "/sign-in"));
        self.give_username_and_password(demo, user);
        self.wait_for_text("You are signed in");
    }
}

impl Demo {
    /// What one of the demo's users knows: `password`, `pin` or the secret of `totp`.
    pub fn secret(&self, user: &str, kind: &str) -> String {
        let text = std::fs::read_to_string(self.file(&format!("users/{user}.{kind}"))).unwrap();
        text.trim().to_owned()
    }

    /// The code that a user's authenticator app shows now.
    pub fn code(&self, user: &str) -> String {
        totp::code(&self.secret(user, "totp"))
    }
}
