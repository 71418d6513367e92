//! How does a person work in several tabs?

use fantoccini::wd::WindowHandle;

use super::Browser;

/// A tab of a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tab(WindowHandle);

impl Browser {
    /// The tab that everything is done in.
    pub fn tab(&self) -> Tab {
        Tab(self.driver.wait(self.driver.client().window()))
    }

    /// Every tab, those that pages opened too.
    pub fn tabs(&self) -> Vec<Tab> {
        let tabs = self.driver.wait(self.driver.client().windows());
        tabs.into_iter().map(Tab).collect()
    }

    /// Opens a tab and goes on in it.
    pub fn new_tab(&self) -> Tab {
        let tab = Tab(self.driver.wait(self.driver.client().new_window(true)).handle);
        self.switch_to(&tab);
        tab
    }

    /// Goes on in this tab.
    pub fn switch_to(&self, tab: &Tab) {
        self.driver.wait(self.driver.client().switch_to_window(tab.0.clone()));
    }

    /// Closes the tab and goes on in one that is left.
    pub fn close_tab(&self) {
        self.driver.wait(self.driver.client().close_window());
        let left = self.tabs();
        self.switch_to(left.first().expect("a tab is left"));
    }
}
