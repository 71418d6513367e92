//! What is an element of a page, and what can be done with it?

use fantoccini::elements::Element as Reference;
use serde_json::Value;

use super::driver::Driver;

/// An element of the page in a browser, as long as that page is there.
pub struct Element<'browser> {
    driver: &'browser Driver,
    element: Reference,
}

impl<'browser> Element<'browser> {
    pub(super) fn new(driver: &'browser Driver, element: Reference) -> Self {
        Self { driver, element }
    }

    /// Whether a person can see it; an element that is gone is not shown.
    pub fn is_shown(&self) -> bool {
        self.driver.attempt(self.element.is_displayed()).unwrap_or(false)
    }

    /// The text that it shows.
    pub fn text(&self) -> String {
        self.driver.wait(self.element.text())
    }

    /// An attribute as it stands in the document.
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.driver.wait(self.element.attr(name))
    }

    /// A property as it is now, such as the `value` of a field.
    pub fn property(&self, name: &str) -> Option<String> {
        self.driver.wait(self.element.prop(name))
    }

    /// Clicks in its middle, and waits for the page that comes of it.
    pub fn click(&self) {
        self.driver.wait(self.element.click());
    }

    /// Types this in place of what it has.
    pub fn fill(&self, text: &str) {
        self.driver.wait(self.element.clear());
        self.driver.wait(self.element.send_keys(text));
    }

    /// What a script takes for it among its arguments.
    pub fn reference(&self) -> Value {
        serde_json::to_value(&self.element).unwrap()
    }
}
