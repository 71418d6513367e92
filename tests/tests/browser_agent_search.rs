//! When do pages look for the agent, where, for how long, and what do they make of what they find?

use std::io::Read;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::browser::Browser;
use latchkey_tests::demo::Demo;
use latchkey_tests::process::{loopback, until};

/// S-03: where no agent runs, the username is asked for at once and the search is over soon; who chooses the device all the
/// same is told what to do. The application's rules hear that none is installed.
#[test]
fn without_an_agent_the_search_is_over_soon_and_the_page_says_what_to_do() {
    let demo = Demo::with_agents();
    want_installed(&demo);
    let browser = Browser::start(&demo);

    browser.goto(&demo.url("wiki", "/"));
    browser.wait_for("#username");
    let took = quiet_after(&browser);
    browser.give_username("carol");
    browser.choose_if_asked("This device", "#device-title");
    browser.wait_for_text("Your device was not found");
    let told = browser.text();
    browser.goto(&demo.url("wiki", "/"));
    quiet_after(&browser);
    browser.give_username_and_password(&demo, "carol");
    browser.wait_for_text(NOT_INSTALLED);

    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(told.contains("Start it and try again."), "{told}");
    assert!(told.contains("My device is not found"), "{told}");
}

/// S-04: the agent is found on the first port that is free, whichever of the three that is.
#[test]
fn the_agent_is_found_on_each_of_its_ports() {
    let demo = Demo::with_agents();
    let mut taken = Vec::new();
    for port in demo.loopback_ports() {
        let mut agent = Authenticator::start(&demo, "alice-laptop", Says::No);
        let browser = Browser::start(&demo);

        browser.goto(&demo.url("payroll", "/"));
        browser.wait_for_text("alice@example.com");

        assert_eq!(agent.port(), *port);
        agent.stop();
        taken.push(Recorder::on(*port));
    }
}

/// S-02: the pages of an application whose rules look at no device ask no port for one. Control: those of payroll do.
#[test]
fn no_port_is_asked_where_no_rule_looks_at_a_device() {
    let demo = Demo::with_agents();
    let ports: Vec<Recorder> = demo.loopback_ports().iter().map(|port| Recorder::on(*port)).collect();
    let heard = || ports.iter().map(Recorder::count).sum::<usize>();
    let browser = Browser::start(&demo);

    browser.goto(&demo.url("news", "/"));
    browser.give_username("carol");
    browser.choose("Password");
    browser.give_password(&demo.secret("carol", "password"));
    browser.choose("Code");
    browser.give_code(&demo.code("carol"));
    browser.wait_for_text("Who the gateway says you are");
    let before = heard();
    let other = Browser::start(&demo);
    other.goto(&demo.url("payroll", "/"));

    assert_eq!(before, 0);
    assert!(until(Duration::from_secs(10), || heard() > 0), "control");
}

/// E-02: an agent whose device counts for nothing answers all the same: for the rules it is installed and no device is
/// registered; both are told apart. Control: without any agent the first of the two is missing as well (S-03).
#[test]
fn an_agent_without_a_device_that_counts_is_installed_and_not_registered() {
    let demo = Demo::with_agents();
    want_installed(&demo);
    demo.command(&["device", "deactivate", "bob-laptop"]);
    let _agent = Authenticator::start(&demo, "bob-laptop", Says::No);
    let browser = Browser::start(&demo);

    browser.goto(&demo.url("wiki", "/"));
    browser.wait_for("#username");
    quiet_after(&browser);
    browser.give_username_and_password(&demo, "carol");
    browser.wait_for_text("The wiki is open to registered devices.");

    assert!(!browser.text().contains(NOT_INSTALLED), "{}", browser.text());
}

/// An agent of bob's on the machine does not sign alice in: her page says that the device is not set up for her.
#[test]
fn an_agent_of_another_account_signs_nobody_else_in() {
    let demo = Demo::with_agents();
    let _agent = Authenticator::start(&demo, "bob-laptop", Says::Yes);
    let browser = Browser::start(&demo);

    browser.goto(&demo.url("auth", "/sign-in"));
    browser.give_username("alice");
    browser.choose("This device");

    browser.wait_for_text("This device is not set up for you");
    assert!(
        browser.text().contains("Add the device for this account first"),
        "{}",
        browser.text()
    );
}

/// Adds a rule to the wiki that says when no agent is there.
fn want_installed(demo: &Demo) {
    let file = demo.file("policies/wiki.cedar");
    let rule = format!(
        "@id(\"wiki.installed\")\n@deny_reason(\"{NOT_INSTALLED}\")\n@advice(\"register-device\")\n\
         forbid (principal is User, action in Action::\"access\", resource == App::\"wiki\")\n\
         when {{ context has authenticator && !context.authenticator.installed }};\n"
    );
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &rule).unwrap();
    demo.reload();
}

/// How long the page looked on beside the form, from when it is looked at.
fn quiet_after(browser: &Browser) -> Duration {
    let begun = Instant::now();
    let status = "return document.getElementById('device').textContent";
    let quiet = until(Duration::from_secs(10), || browser.execute(status, &[]) == "");
    assert!(quiet, "{}", browser.text());
    begun.elapsed()
}

/// Something on a port of the agent's that hears who connects, and answers nothing.
struct Recorder(Arc<Mutex<usize>>);

impl Recorder {
    fn on(port: u16) -> Self {
        let mut bound = None;
        let free = until(Duration::from_secs(10), || {
            bound = TcpListener::bind(loopback(port)).ok();
            bound.is_some()
        });
        assert!(free, "{port} is taken");
        let count = Arc::new(Mutex::new(0));
        let counting = Arc::clone(&count);
        std::thread::spawn(move || {
            for mut stream in bound.unwrap().incoming().map_while(Result::ok) {
                *counting.lock().unwrap() += 1;
                std::thread::spawn(move || stream.read(&mut [0; 1024]));
            }
        });
        Self(count)
    }

    fn count(&self) -> usize {
        *self.0.lock().unwrap()
    }
}

const NOT_INSTALLED: &str = "Latchkey has to run on this device.";
