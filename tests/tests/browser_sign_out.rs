//! Does signing out close what it should, and do several tabs at once stay out of each other's way?

use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::browser::Browser;
use latchkey_tests::demo::Demo;

/// Signing out at the auth host closes the applications in this browser, and the back button shows nothing of them. Another
/// browser of the same user goes on.
#[test]
fn signing_out_closes_this_browser_and_no_other() {
    let demo = Demo::with_agents();
    let mut agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = at_the_wiki(&demo);
    let other = at_the_wiki(&demo);
    agent.stop();

    browser.goto(&demo.url("auth", "/"));
    browser.click("form[action='/sign-out'] button");
    browser.wait_for_text("You are signed out");
    browser.back();
    browser.wait_for("#username");
    let back_once = browser.text();
    browser.back();
    browser.wait_for("#username");
    let back_twice = browser.text();

    assert!(!back_once.contains("Your devices"), "{back_once}");
    assert!(!back_twice.contains("alice@example.com"), "{back_twice}");
    browser.goto(&demo.url("wiki", "/"));
    browser.wait_for("#username");
    other.reload();
    other.wait_for_text(APPLICATION);
}

/// Signing out everywhere closes the other browser too.
#[test]
fn signing_out_everywhere_closes_every_browser() {
    let demo = Demo::with_agents();
    let mut agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = at_the_wiki(&demo);
    let other = at_the_wiki(&demo);
    agent.stop();
    other.reload();
    other.wait_for_text(APPLICATION);

    browser.goto(&demo.url("auth", "/"));
    browser.click("form[action='/sign-out-everywhere'] button");
    browser.wait_for_text("All your sessions have ended");

    other.reload();
    other.wait_for("#username");
    assert!(!other.text().contains("alice@example.com"), "{}", other.text());
    other.goto(&demo.url("auth", "/"));
    other.wait_for("#username");
}

/// Two tabs that wait at the sign-in for two applications, and a third for one of them again: each gets to its own, in
/// whatever order they are signed in, and none throws another out.
#[test]
fn several_tabs_sign_in_at_once_each_to_its_own() {
    let demo = Demo::with_agents();
    demo.edit("policies/news.cedar", "factorCount >= 2", "factorCount >= 1");
    demo.edit(
        "policies/wiki.cedar",
        "context has device && context.device.registered",
        "true",
    );
    demo.reload();
    let browser = Browser::start(&demo);
    let pages = [("news", "/today"), ("wiki", "/"), ("news", "/yesterday")].map(|(app, path)| demo.url(app, path));
    let mut tabs = Vec::new();
    for page in &pages {
        tabs.push(browser.new_tab());
        browser.goto(page);
        browser.wait_for("#username");
    }

    for (tab, page) in tabs.iter().zip(&pages).rev() {
        browser.switch_to(tab);
        browser.give_username_and_password(&demo, "alice");
        browser.wait_for_text(APPLICATION);
        assert_eq!(&browser.url(), page);
    }

    for (tab, page) in tabs.iter().zip(&pages) {
        browser.switch_to(tab);
        browser.reload();
        browser.wait_for_text(APPLICATION);
        assert_eq!(&browser.url(), page);
    }
    let sessions = browser
        .cookies()
        .into_iter()
        .filter(|cookie| cookie.name == "__Host-latchkey-session");
    assert_eq!(sessions.count(), 3, "one at each host");
}

/// Tabs that the device signs in at the same moment get where they were to go: at two hosts, and at one host, where the second
/// tab's first answer takes the place of the first one's cookie.
#[test]
fn tabs_that_the_device_signs_in_at_the_same_moment_all_get_there() {
    let demo = Demo::with_agents();
    let _agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Browser::start(&demo);
    browser.goto(&demo.url("auth", "/device-test"));
    let first = browser.tab();
    let pages = ["payroll", "wiki", "payroll"].map(|app| demo.url(app, "/"));
    let open = "arguments[0].forEach(page => window.open(page, '_blank'))";

    browser.execute(open, &[pages.to_vec().into()]);

    let tabs: Vec<_> = browser.tabs().into_iter().filter(|tab| *tab != first).collect();
    assert_eq!(tabs.len(), 3);
    for tab in &tabs {
        browser.switch_to(tab);
        browser.wait_for_text(APPLICATION);
    }
}

/// A browser in which alice opened the wiki by her device.
fn at_the_wiki(demo: &Demo) -> Browser {
    let browser = Browser::start(demo);
    browser.goto(&demo.url("wiki", "/"));
    browser.wait_for_text(APPLICATION);
    browser
}

const APPLICATION: &str = "Who the gateway says you are";
