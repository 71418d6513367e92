//! What if the files change? Policies and configurations, fit and unfit, one after the other; and a server that goes and comes back.

use std::time::Duration;

use latchkey_tests::process::until;

use crate::Stage;
use crate::app::App;
use crate::model::{Rules, Server, Settings};
use crate::tally::Tally;

/// Changes the files again and again until the stop, and leaves them as they were.
pub(crate) fn change(stage: &Stage) {
    let plain = std::fs::read_to_string(stage.demo.file(CONFIGURATION)).unwrap();
    let mut number = 0_usize;
    while stage.stop.rest(PAUSE) {
        number += 1;
        match number % 8 {
            1 => rules(stage, Rules::Closed),
            2 => settings(stage, &plain, Settings::Public),
            3 => unfit(
                stage,
                POLICIES,
                "@id(\"soak.rules\") forbid (principal, action, resource) when { nonsense };\n",
            ),
            4 => rules(stage, Rules::ReadOnly),
            5 => unfit(stage, CONFIGURATION, &format!("{plain}no_such_key: 1\n")),
            6 => settings(stage, &plain, Settings::SmallBodies),
            7 => rules(stage, Rules::Open),
            _ => settings(stage, &plain, Settings::Plain),
        }
    }
    rules(stage, Rules::Open);
    settings(stage, &plain, Settings::Plain);
}

/// Takes the second application's server away and puts it back, until the stop.
pub(crate) fn come_and_go(stage: &Stage, mut server: App) {
    let address = server.address();
    while stage.stop.rest(UP) {
        stage.world.server.change(Server::Down, || drop(server));
        stage.stop.rest(DOWN);
        server = stage.world.server.change(Server::Up, || {
            let mut again = None;
            let bound = until(PATIENCE, || {
                again = App::start_at(address).ok();
                again.is_some()
            });
            assert!(bound, "the address of the second application is taken");
            again.unwrap()
        });
    }
}

fn rules(stage: &Stage, rules: Rules) {
    if stage.world.rules.last() == rules {
        return;
    }
    stage.world.rules.change(rules, || {
        write(stage, POLICIES, text_of(rules));
    });
    Tally::count(&stage.tally.taken);
}

fn settings(stage: &Stage, plain: &str, settings: Settings) {
    if stage.world.settings.last() == settings {
        return;
    }
    let lines = match settings {
        Settings::Plain => String::new(),
        Settings::Public => "    public_paths: [/open/]\n".to_owned(),
        Settings::SmallBodies => "    body_limit: 1KiB\n".to_owned(),
    };
    let heading = "  - name: wiki\n";
    let text = plain.replacen(heading, &format!("{heading}{lines}"), 1);
    stage
        .world
        .settings
        .change(settings, || write(stage, CONFIGURATION, &text));
    Tally::count(&stage.tally.taken);
}

/// Writes what is not fit, which changes nothing, and what was there before.
fn unfit(stage: &Stage, file: &str, text: &str) {
    let before = std::fs::read_to_string(stage.demo.file(file)).unwrap();
    write(stage, file, text);
    Tally::count(&stage.tally.kept);
    let policies = file == POLICIES;
    std::fs::write(stage.demo.file(file), &before).unwrap();
    // Policies that are as they were are no reload; a configuration is one.
    if policies {
        let fresh = || stage.demo.metric("latchkey_policies_stale") == Some(0.0);
        assert!(until(PATIENCE, fresh), "the policies stay stale");
    } else {
        let seen = stage.demo.metric("latchkey_reloads_total").unwrap_or_default();
        assert!(
            until(PATIENCE, || reloads(stage) > seen),
            "the configuration is not read again"
        );
    }
}

/// Writes a file, and waits until the gateway has read it.
fn write(stage: &Stage, file: &str, text: &str) {
    let before = reloads(stage);
    std::fs::write(stage.demo.file(file), text).unwrap();
    assert!(until(PATIENCE, || reloads(stage) > before), "{file} is not read again");
}

fn reloads(stage: &Stage) -> f64 {
    stage.demo.metric("latchkey_reloads_total").unwrap_or_default()
}

fn text_of(rules: Rules) -> &'static str {
    match rules {
        Rules::Open => "@id(\"soak.rules\") forbid (principal, action, resource) when { false };\n",
        Rules::Closed => {
            "@id(\"soak.rules\") @deny_reason(\"Closed.\") forbid (principal, action in Action::\"access\", resource)\n\
             when { context.request.path like \"/closed/*\" };\n"
        }
        Rules::ReadOnly => {
            "@id(\"soak.rules\") @deny_reason(\"Read only.\") forbid (principal, action == Action::\"write\", resource);\n"
        }
    }
}

/// Puts the policies of the soak beside those of the demo: payroll is for whoever uses the wiki.
pub(crate) fn prepare(stage_file: impl Fn(&str) -> std::path::PathBuf) {
    std::fs::write(stage_file(POLICIES), text_of(Rules::Open)).unwrap();
    let payroll = "@id(\"payroll.soak\") permit (principal is User, action in Action::\"access\", resource == App::\"payroll\");\n";
    std::fs::write(stage_file("policies/payroll.cedar"), payroll).unwrap();
}

const CONFIGURATION: &str = "latchkey.yaml";
const POLICIES: &str = "policies/soak.cedar";
const PAUSE: Duration = Duration::from_secs(2);
const UP: Duration = Duration::from_secs(7);
const DOWN: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(20);
