//! What does a person see in the real Chromium, and what can they do there?

mod accessibility;
mod cookies;
mod driver;
mod element;
mod failure;
mod forms;
mod places;
mod profile;
mod requests;
mod security_keys;
mod tabs;
mod words;

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fantoccini::Locator;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
pub use fantoccini::key::Key;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use self::accessibility::target;
pub use self::cookies::Cookie;
use self::driver::Driver;
pub use self::element::Element;
use self::places::Place;
pub use self::profile::{Setup, Window};
pub use self::requests::Sent;
pub use self::security_keys::VirtualKey;
pub use self::tabs::Tab;
pub use self::words::Language;
use crate::demo::Demo;
use crate::process::until;

/// A Chromium with a profile of its own; ended when dropped, and what it showed is kept if the test is failing.
pub struct Browser {
    driver: Driver,
    language: Language,
    home: TempDir,
    _place: Place,
}

/// What a person has said to a page that asked for a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Yes.
    Granted,
    /// No.
    Denied,
    /// Nothing yet. Without a screen nobody is asked: the first use is denied, and stays so.
    Prompt,
}

/// A line of the browser's console.
#[derive(Debug, Clone)]
pub struct ConsoleLine {
    /// `INFO`, `WARNING`, `SEVERE`.
    pub level: String,
    /// Who wrote it: `console-api`, `network`, `security`, `javascript`.
    pub source: String,
    /// What it says.
    pub text: String,
}

impl Browser {
    /// Starts a desktop's browser that trusts the demo and has no client certificate.
    pub fn start(demo: &Demo) -> Self {
        Self::with(demo, &Setup::default())
    }

    /// Starts one with this setup. Two tests have browsers at a time: further ones wait here. A test starts all of its
    /// browsers on one thread.
    pub fn with(demo: &Demo, setup: &Setup) -> Self {
        let place = Place::take();
        let home = tempfile::Builder::new().prefix("latchkey-browser-").tempdir().unwrap();
        let capabilities = setup.prepare(demo, home.path());
        let driver = Driver::start(home.path(), &capabilities);
        Self {
            driver,
            language: setup.language(),
            home,
            _place: place,
        }
    }

    /// The directory that is its home: the profile, and all that it keeps.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Opens a URL and waits until it has loaded.
    ///
    /// # Panics
    /// When nothing answers there, or nobody whom the browser trusts.
    pub fn goto(&self, url: &str) {
        self.try_goto(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// The same where it may fail.
    ///
    /// # Errors
    /// What the browser says, such as `ERR_CONNECTION_REFUSED` or `ERR_CERT_AUTHORITY_INVALID`.
    pub fn try_goto(&self, url: &str) -> Result<(), String> {
        let opened = self.driver.attempt(self.driver.client().goto(url));
        opened.map_err(|error| error.to_string())?;
        // To the driver, the browser's own page about a certificate is a page like any other.
        let document = self.execute("return document.URL", &[]);
        match document.as_str().is_some_and(|url| url.starts_with("chrome-error:")) {
            true => Err(self.text()),
            false => Ok(()),
        }
    }

    /// Goes back as its button does.
    pub fn back(&self) {
        self.driver.wait(self.driver.client().back());
    }

    /// Loads the page again.
    pub fn reload(&self) {
        self.driver.wait(self.driver.client().refresh());
    }

    /// What stands in the address bar.
    pub fn url(&self) -> String {
        self.driver.wait(self.driver.client().current_url()).to_string()
    }

    /// The page's title.
    pub fn title(&self) -> String {
        self.driver.wait(self.driver.client().title())
    }

    /// The text that the page shows.
    pub fn text(&self) -> String {
        let text = self.execute("return document.body ? document.body.innerText : ''", &[]);
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The page as it is now, as HTML.
    pub fn source(&self) -> String {
        self.driver.wait(self.driver.client().source())
    }

    /// Waits until the address is as it should be.
    pub fn wait_for_url(&self, is_right: impl Fn(&str) -> bool) {
        let right = until(PATIENCE, || is_right(&self.url()));
        assert!(right, "the browser stays at {}:\n{}", self.url(), self.text());
    }

    /// Waits until the page shows this, which is told in English, in the language of the browser.
    pub fn wait_for_text(&self, text: &str) {
        let said = self.language.all_of(text);
        let there = until(PATIENCE, || {
            let shown = self.text();
            said.iter().any(|text| shown.contains(text))
        });
        assert!(there, "`{text}` never shows at {}:\n{}", self.url(), self.text());
    }

    /// The first element that this selector finds now, shown or not.
    pub fn find(&self, css: &str) -> Option<Element<'_>> {
        self.find_all(css).into_iter().next()
    }

    /// Every element that this selector finds now.
    pub fn find_all(&self, css: &str) -> Vec<Element<'_>> {
        let found = self.driver.wait(self.driver.client().find_all(Locator::Css(css)));
        let of = |element| Element::new(&self.driver, element);
        found.into_iter().map(of).collect()
    }

    /// Waits until an element is shown.
    pub fn wait_for(&self, css: &str) -> Element<'_> {
        let mut shown = None;
        let there = until(PATIENCE, || {
            shown = self.find_all(css).into_iter().find(Element::is_shown);
            shown.is_some()
        });
        assert!(there, "no `{css}` shows at {}:\n{}", self.url(), self.text());
        shown.unwrap()
    }

    /// Waits until no such element is shown.
    pub fn wait_until_gone(&self, css: &str) {
        let gone = until(PATIENCE, || !self.find_all(css).iter().any(Element::is_shown));
        assert!(gone, "`{css}` stays at {}:\n{}", self.url(), self.text());
    }

    /// Clicks an element once it is there.
    pub fn click(&self, css: &str) {
        self.wait_for(css).click();
    }

    /// Types into a field once it is there, in place of what it had.
    pub fn fill(&self, css: &str, text: &str) {
        self.wait_for(css).fill(text);
    }

    /// Submits the form that an element is or belongs to, as Enter in a field does.
    pub fn submit(&self, css: &str) {
        let form = self.wait_for(css);
        let submit = "const element = arguments[0]; (element.form || element.closest('form')).requestSubmit()";
        self.execute(submit, &[form.reference()]);
    }

    /// Presses and releases a key: the element with the focus gets it.
    pub fn press(&self, key: Key) {
        self.press_all(&[key.into()]);
    }

    /// The same with Shift held down.
    pub fn press_with_shift(&self, key: Key) {
        self.press_all(&[Key::Shift.into(), key.into()]);
    }

    /// Types into the element with the focus.
    pub fn type_text(&self, text: &str) {
        text.chars().for_each(|letter| self.press_all(&[letter]));
    }

    fn press_all(&self, keys: &[char]) {
        let down = keys.iter().map(|key| KeyAction::Down { value: *key });
        let up = keys.iter().rev().map(|key| KeyAction::Up { value: *key });
        let keyboard = KeyActions::new("keyboard".to_owned());
        let actions = down.chain(up).fold(keyboard, KeyActions::then);
        self.driver.wait(self.driver.client().perform_actions(actions));
    }

    /// The element with the focus, such as `input#username "Username"` or `button "Sign in"`; `body` for none.
    pub fn focused(&self) -> String {
        self.execute(FOCUSED, &[]).as_str().unwrap_or_default().to_owned()
    }

    /// Runs the body of a function on the page; what it returns. `arguments` has what is given here.
    pub fn execute(&self, script: &str, arguments: &[Value]) -> Value {
        let answer = self.driver.client().execute(script, arguments.to_vec());
        self.driver.wait(answer)
    }

    /// The same for a script that ends by calling its last argument; what it gave to it.
    pub fn execute_async(&self, script: &str, arguments: &[Value]) -> Value {
        let answer = self.driver.client().execute_async(script, arguments.to_vec());
        self.driver.wait(answer)
    }

    /// Gives a command of the Chrome DevTools Protocol to this tab.
    pub fn cdp(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        let answer = self.driver.post("goog/cdp/execute", &body);
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// What was written to the console since the last time: what pages wrote, requests that failed, what a CSP forbade.
    pub fn console(&self) -> Vec<ConsoleLine> {
        let lines = self.driver.post("se/log", &json!({ "type": "browser" }));
        let lines = lines.unwrap_or_else(|error| panic!("the browser's log: {error}"));
        lines.as_array().unwrap().iter().map(ConsoleLine::read).collect()
    }

    /// Answers for the person whether this page's origin may do something, such as `loopback-network`.
    pub fn set_permission(&self, name: &str, state: Permission) {
        let body = json!({ "descriptor": { "name": name }, "state": state.name() });
        let set = self.driver.post("permissions", &body);
        set.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// The same for any origin, before one of its pages is open.
    pub fn set_permission_of(&self, origin: &str, name: &str, state: Permission) {
        let parameters = json!({ "origin": origin, "permission": { "name": name }, "setting": state.name() });
        self.cdp("Browser.setPermission", &parameters);
    }

    /// What the page is told about a permission: `granted`, `denied` or `prompt`.
    pub fn permission(&self, name: &str) -> String {
        let query = "const [name, done] = arguments; navigator.permissions.query({ name }).then(it => done(it.state))";
        let state = self.execute_async(query, &[name.into()]);
        state.as_str().unwrap_or_default().to_owned()
    }

    /// Has this tab look at its pages through another window.
    pub fn resize(&self, window: Window) {
        let metrics = window.emulated();
        let parameters = json!({
            "width": metrics["width"],
            "height": metrics["height"],
            "deviceScaleFactor": metrics["pixelRatio"],
            "mobile": metrics["mobile"],
        });
        self.cdp("Emulation.setDeviceMetricsOverride", &parameters);
    }

    /// Writes a PNG of the whole page.
    pub fn screenshot(&self, file: &Path) {
        let size = &self.cdp("Page.getLayoutMetrics", &json!({}))["cssContentSize"];
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let whole = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let image = self.cdp("Page.captureScreenshot", &whole);
        let image = STANDARD.decode(image["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, image).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            failure::show(&self.driver);
        }
        self.driver.kill();
        // A process that is just dying may write a last file.
        let home = self.home.path();
        until(PATIENCE, || std::fs::remove_dir_all(home).is_ok() || !home.exists());
    }
}

impl Permission {
    fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Prompt => "prompt",
        }
    }
}

impl ConsoleLine {
    fn read(line: &Value) -> Self {
        let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        Self {
            level: field("level"),
            source: field("source"),
            text: field("message"),
        }
    }
}

/// How long a page has to become what it should be: it may wait for a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

const FOCUSED: &str = "
    const element = document.activeElement || document.body;
    const id = element.id ? '#' + element.id : '';
    const named = element.getAttribute('name') ? `[name=${element.getAttribute('name')}]` : '';
    const label = element.getAttribute('aria-label') || element.labels?.[0]?.innerText || element.innerText || '';
    const says = element === document.body || !label.trim() ? '' : ` \"${label.trim()}\"`;
    return element.tagName.toLowerCase() + (id || named) + says;";
