//! How does somebody sign in with a browser that runs no scripts? By the forms; the device's answer is brought by hand.

use serde_json::{Value, json};

use super::{Page, Visitor};
use crate::device::{Device, claims_of};

/// A challenge that a page of a sign-in got.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// Where the page is: for `finish`.
    pub finish: String,
    /// The page's state.
    pub state: String,
    /// Its attempt.
    pub attempt: String,
    /// The challenge as the agent gets it.
    pub token: String,
    /// What it says.
    pub claims: Value,
}

impl Visitor<'_> {
    /// Opens an address and types a username, where it is asked for.
    pub fn identify(&mut self, url: &str, user: &str) -> Page {
        let page = self.open(url);
        assert!(
            page.text().contains("name=\"username\""),
            "{}: {}",
            page.url,
            page.text()
        );
        let page = self.submit(&page, &[("username", user)]);
        self.follow(page)
    }

    /// Opens an address, types a username, and goes to where the password is asked for.
    pub fn password_page(&mut self, url: &str, user: &str) -> Page {
        let page = self.identify(url, user);
        self.choose(page, "/sign-in/password")
    }

    /// Goes to a way of signing in, unless the page is that already.
    ///
    /// # Panics
    /// When it is not offered.
    pub fn choose(&mut self, page: Page, path: &str) -> Page {
        if page.path() == path {
            return page;
        }
        let link = page.link(path);
        let link = link.unwrap_or_else(|| panic!("no {path} at {}: {}", page.url, page.text()));
        self.open(&link)
    }

    /// Opens an address, and signs in with a password; where that ends.
    pub fn sign_in_with_password(&mut self, url: &str, user: &str, password: &str) -> Page {
        let page = self.password_page(url, user);
        let page = self.submit(&page, &[("password", password)]);
        self.follow(page)
    }

    /// Goes on from a page that offers a code, with the code of this moment.
    pub fn with_code(&mut self, page: Page, secret: &str) -> Page {
        let page = self.choose(page, "/sign-in/totp");
        let page = self.submit(&page, &[("code", &crate::totp::code(secret))]);
        self.follow(page)
    }

    /// Opens an address, and signs in with a device that asks nobody; where that ends.
    pub fn fastpass(&mut self, url: &str, device: &Device) -> Page {
        let page = self.open(url);
        self.fastpass_at(&page, device)
    }

    /// Goes on from a page of a sign-in with a device that asks nobody.
    pub fn fastpass_at(&mut self, page: &Page, device: &Device) -> Page {
        let challenge = self.challenge(page, json!({ "verify": false }));
        let answer = device.answer(self.demo(), &challenge.claims);
        let given = device.give(self.demo(), &challenge.claims, &answer);
        assert_eq!(given.status, 200, "{}", given.text());
        let finished = self.finish(&challenge);
        self.follow_next(finished)
    }

    /// The same with the user-verification key, as after a PIN.
    pub fn fastpass_verified_at(&mut self, page: &Page, device: &Device) -> Page {
        let challenge = self.challenge(page, json!({ "verify": true }));
        let given = device.give_verified(self.demo(), &challenge.claims);
        assert_eq!(given.status, 200, "{}", given.text());
        let finished = self.finish(&challenge);
        self.follow_next(finished)
    }

    /// Has a page of a sign-in ask for a challenge, with these further members.
    pub fn challenge(&mut self, page: &Page, more: Value) -> Challenge {
        let asked = self.ask_challenge(page, more);
        assert_eq!(asked.status, 200, "{}", asked.text());
        let answer = asked.json();
        let token = answer["challenge"].as_str().unwrap().to_owned();
        Challenge {
            finish: page.absolute("/sign-in/device/finish"),
            state: page.state(),
            attempt: answer["attempt"].as_str().unwrap().to_owned(),
            claims: claims_of(&token),
            token,
        }
    }

    /// The answer to a page that asks for a challenge.
    pub fn ask_challenge(&mut self, page: &Page, more: Value) -> Page {
        let mut body = more;
        body["state"] = page.state().into();
        self.post_json(&page.absolute("/sign-in/device/challenge"), &body)
    }

    /// Has the page take what the device answered.
    pub fn finish(&mut self, challenge: &Challenge) -> Page {
        let body = json!({ "state": challenge.state, "attempt": challenge.attempt });
        self.post_json(&challenge.finish, &body)
    }

    /// Goes where a script of a page is told to go.
    ///
    /// # Panics
    /// When it is told nothing.
    pub fn follow_next(&mut self, finished: Page) -> Page {
        assert_eq!(finished.status, 200, "{}", finished.text());
        let next = finished.json()["next"].as_str().unwrap().to_owned();
        self.open(&finished.absolute(&next))
    }

    /// Signs out at the auth host.
    pub fn sign_out(&mut self) -> Page {
        let url = self.demo().url("auth", "/sign-out");
        self.post_form(&url, &[])
    }

    /// Renews the device's proof as a script on an application's page does; the answer to its last step.
    pub fn renew(&mut self, app: &str, device: &Device) -> Page {
        let begun = self.post_json(&self.demo().url(app, "/.latchkey/renew"), &Value::Null);
        assert_eq!(begun.status, 200, "{}", begun.text());
        let begun = begun.json();
        let claims = claims_of(begun["challenge"].as_str().unwrap());
        let given = device.give(self.demo(), &claims, &device.answer(self.demo(), &claims));
        assert_eq!(given.status, 200, "{}", given.text());
        let body = json!({ "attempt": begun["attempt"] });
        self.post_json(&self.demo().url(app, "/.latchkey/renew/finish"), &body)
    }
}
