//! Does somebody add the device at which they sit, in the browser, and nobody a device that is elsewhere?

use std::process::Command;
use std::time::Duration;

use latchkey_tests::agent::{self, Agent};
use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::browser::Browser;
use latchkey_tests::demo::Demo;
use latchkey_tests::process::{Process, until};

/// E-20: from the agent's command to the device in the list, by the pages alone: sign in, name the device, done.
#[test]
fn a_device_is_added_in_the_browser_that_its_agent_opened() {
    let demo = Demo::with_agents();
    let agent = Agent::new();
    let mut enrolling = begin(&demo, &agent);
    let browser = Browser::start(&demo);

    browser.goto(&page(&enrolling));
    browser.give_username_and_password(&demo, "bob");
    browser.wait_for_text("Add this device");
    let steps = browser.wait_for("#steps").text();
    browser.fill("#name", "bob-notebook");
    browser.click("#enroll button");
    browser.wait_for_text("Your device was added");

    for step in ["Sign in", "Name the device", "Confirm on the device", "Done"] {
        assert!(steps.contains(step), "{steps}");
    }
    browser.wait_for(".devices");
    assert!(browser.text().contains("bob-notebook"), "{}", browser.text());
    assert_eq!(
        enrolling.wait(Duration::from_secs(20)),
        Some(0),
        "{}",
        enrolling.output()
    );
    assert!(devices(&demo, "bob").contains("bob-notebook"));
}

/// E-24, X-13: somebody has the victim open the page of an agent that is on another machine. The victim signs in, and nothing
/// comes of it: no token was ever made. That an agent of the victim's own runs here makes no difference. Control: the same with
/// the agent on this machine.
#[test]
fn a_page_whose_agent_is_elsewhere_makes_no_token() {
    let demo = Demo::with_agents();
    let agent = Agent::new();
    let mut enrolling = begin(&demo, &agent);
    let page = page(&enrolling);
    enrolling.kill();
    let browser = Browser::start(&demo);
    let before = tokens(&demo);

    browser.goto(&page);
    browser.give_username_and_password(&demo, "alice");
    browser.fill("#name", "not-mine");
    browser.click("#enroll button");
    browser.wait_for_text("No device is waiting");
    let _own = Authenticator::start(&demo, "alice-laptop", Says::Yes);
    browser.click("#device-again");
    browser.wait_for_text("No device is waiting");
    let mut another = begin(&demo, &Agent::new());
    browser.reload();
    browser.fill("#name", "not-mine");
    browser.click("#enroll button");
    browser.wait_for("#device-again");
    let told = browser.text();
    another.kill();

    assert!(told.contains("Another Latchkey answers here"), "{told}");
    assert_eq!(tokens(&demo), before);
    assert!(!devices(&demo, "alice").contains("not-mine"));
    let mut enrolling = begin(&demo, &agent);
    browser.goto(&self::page(&enrolling));
    browser.fill("#name", "mine");
    browser.click("#enroll button");
    browser.wait_for_text("Your device was added");
    assert_eq!(
        enrolling.wait(Duration::from_secs(20)),
        Some(0),
        "{}",
        enrolling.output()
    );
    assert_eq!(tokens(&demo), before + 1, "control");
}

/// Starts an enrolment that waits for its user in the browser.
fn begin(demo: &Demo, agent: &Agent) -> Process {
    let mut command = Command::new(agent::program());
    command.args(["enroll", "--browser", "--no-open", "--keys", "software", "--no-pin"]);
    command
        .arg("--gateway")
        .arg(demo.url("auth", ""))
        .arg("--ca")
        .arg(demo.file("ca.pem"));
    command.arg("--state").arg(agent.state());
    Process::start(&mut command)
}

/// The page that it says to open.
fn page(enrolling: &Process) -> String {
    let mut page = None;
    let said = until(Duration::from_secs(20), || {
        let output = enrolling.output();
        let line = output.lines().map(str::trim).find(|line| line.starts_with("https://"));
        page = line.map(str::to_owned);
        page.is_some()
    });
    assert!(said, "{}", enrolling.output());
    page.unwrap()
}

/// How many enrolment tokens were ever made by signing in or by an administrator.
fn tokens(demo: &Demo) -> usize {
    demo.events("filter=eventType%20eq%20%22device.enrollment_token.create%22")
        .len()
}

fn devices(demo: &Demo, user: &str) -> String {
    demo.admin("GET", &format!("/api/v1/users/{user}/devices"), None).text()
}
