//! How do users confirm, and how do they change that? New keys take the place of the old ones, after a sign-in as for an enrolment.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::World;
use super::confirm::{How, Method};
use super::describe;
use super::enroll::{Asking, SignIn, enroll_again};
use super::error::CliError;
use super::output::{Told, table};

/// Shows how accounts confirm, or changes it.
#[derive(Args)]
pub(super) struct Asked {
    #[command(subcommand)]
    task: Option<Task>,
}

/// What to do with it.
#[derive(Subcommand)]
enum Task {
    /// Confirm in another way, or with a new PIN where the old one is forgotten
    Set(Box<Set>),
}

/// For whom, how, and on whose word.
#[derive(Args)]
struct Set {
    /// With what [default: what is answered]
    #[arg(value_name = "HOW")]
    method: Option<Method>,
    /// The account, where there are several
    #[arg(long, value_name = "LOGIN")]
    account: Option<String>,
    #[command(flatten)]
    sign_in: SignIn,
    #[command(flatten)]
    how: How,
}

/// Does it.
pub(super) async fn perform(world: &World, asked: Asked) -> Result<(), CliError> {
    match asked.task {
        Some(Task::Set(set)) => change(world, &set).await,
        None => show(world),
    }
}

async fn change(world: &World, set: &Set) -> Result<(), CliError> {
    let writer = world.folder.write()?;
    let state = world.folder.require()?;
    let account = state.account(set.account.as_deref())?.clone();
    let asking = Asking {
        user: Some(&account.login),
        sign_in: &set.sign_in,
        verify: set.method,
        how: &set.how,
    };
    enroll_again(world, &writer, state, &asking, Some(&account)).await
}

fn show(world: &World) -> Result<(), CliError> {
    let state = world.folder.require()?;
    let rows: Vec<Vec<String>> = state
        .accounts
        .iter()
        .map(|account| vec![account.login.clone(), describe::verification(account)])
        .collect();
    let json = state
        .accounts
        .iter()
        .map(|account| json!({ "account": account.login, "verification": describe::verification_json(account) }));
    let told = Told {
        text: table(&["LOGIN", "VERIFICATION"], &rows),
        json: json.collect::<Value>(),
    };
    told.show(world.json);
    Ok(())
}
