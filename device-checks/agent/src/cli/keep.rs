//! What is kept of an enrolment? Its keys, its certificate and its account, and the user is told what to try.

use std::sync::Arc;

use serde_json::{Value, json};

use super::World;
use super::describe;
use super::error::{CliError, chain};
use super::output::{Told, moment, pairs, paragraph};
use crate::enrollment::{Applicant, Done};
use crate::keys::{KeyStore, Shared, StoredKey, blocking, codes};
use crate::private_file;
use crate::report;
use crate::state::{Account, State, Writer};

/// Keeps what was enrolled, now that the receipt was believed; an older account of the same user is replaced. Says what the
/// device is called.
pub(super) async fn keep(
    world: &World,
    writer: &Writer,
    applicant: &Applicant,
    mut state: State,
    mut done: Done,
) -> Result<Kept, CliError> {
    let enrolled = done.enrollment.enrolled();
    state.device.id = enrolled.device;
    let older = state.accounts.iter().position(|account| account.user == enrolled.user);
    let older = older.map(|index| state.accounts.remove(index));
    state.pending.retain(|pending| pending.possession != done.possession);
    let account = Account {
        login: done.login.clone(),
        user: enrolled.user,
        enrollment: enrolled.enrollment,
        files: older
            .as_ref()
            .map_or_else(|| state.name_files(&done.login), |older| older.files.clone()),
        possession: done.possession.clone(),
        verification: done.verification.clone(),
        key_protection: enrolled.key_protection,
        root_class: enrolled.root_class,
        managed: enrolled.managed,
        fastpass: enrolled.fastpass,
    };
    write_files(writer, &state, &account, &*applicant.store, &enrolled.certificate)?;
    state.accounts.push(account.clone());
    writer.save(&state)?;
    if let Some(older) = older {
        codes::forget(&world.folder.keys(), older.enrollment)?;
        let keys: Vec<StoredKey> = [
            Some(older.possession),
            older.verification.map(|verification| verification.key),
        ]
        .into_iter()
        .flatten()
        .collect();
        let store = Arc::clone(&applicant.store);
        if let Err(left) = blocking(move || keys.iter().try_for_each(|key| store.delete(key))).await {
            done.notes
                .push(format!("keys of before are left over: {}", chain(&left)));
        }
    }
    // Enrolled it is, whatever becomes of this.
    if let Err(error) = report(world, &account).await {
        done.notes.push(format!(
            "what this device is like was not reported yet ({}); `latchkey-agent report` does it, and so does `run`",
            chain(&error)
        ));
    }
    Ok(Kept {
        told: tell(world, &state, &account, &done, &*applicant.store),
        device: done.enrollment.enrolled().name.clone(),
        login: account.login,
    })
}

/// What is kept now.
pub(super) struct Kept {
    told: Told,
    /// What the device is called.
    pub(super) device: String,
    /// Whose account it is.
    pub(super) login: String,
}

impl Kept {
    /// Tells the user; the device's name.
    pub(super) fn show(self, json: bool) -> String {
        self.told.show(json);
        self.device
    }
}

/// Says at once what the device is like: some applications let nobody in before.
async fn report(world: &World, account: &Account) -> Result<(), CliError> {
    let installation = world.installation()?;
    let gateway = installation.connect().await?;
    let collector = installation.collector().await;
    report::report(&installation, &gateway, account, &collector, None).await?;
    Ok(())
}

fn write_files(
    writer: &Writer,
    state: &State,
    account: &Account,
    store: &dyn KeyStore,
    certificate: &str,
) -> Result<(), CliError> {
    let folder = writer.folder();
    private_file::write(&folder.certificate(account), certificate.as_bytes())?;
    if let Some(authority) = &state.gateway.authority {
        private_file::write(&folder.authority(), authority.as_bytes())?;
    }
    if let Some(Shared::File(pem)) = store.shared(&account.possession)? {
        private_file::write(&folder.key(account), pem.as_bytes())?;
        private_file::write(&folder.openssl_configuration(), OPENSSL_CONFIGURATION.as_bytes())?;
    }
    Ok(())
}

fn tell(world: &World, state: &State, account: &Account, done: &Done, store: &dyn KeyStore) -> Told {
    let enrolled = done.enrollment.enrolled();
    let lines = describe::things_to_try(&world.folder, state, account, store);
    let mut text = format!("Enrolled `{}` for {}.\n\n", enrolled.name, account.login);
    text += &pairs(&[
        ("DEVICE", format!("{} ({})", enrolled.name, enrolled.device)),
        ("KEYS", describe::store(&state.keys)),
        (
            "PROTECTION",
            describe::protection(account.key_protection, account.root_class),
        ),
        ("VERIFICATION", describe::verification(account)),
        ("MANAGED", if enrolled.managed { "yes" } else { "no" }.to_owned()),
        ("CERTIFICATE", world.folder.certificate(account).display().to_string()),
        ("VALID UNTIL", moment(done.enrollment.leaf().not_after)),
    ]);
    for note in &done.notes {
        text += "\n";
        text += &paragraph(&format!("Note: {note}"), "");
    }
    text += "\nTry it:\n\n";
    for line in &lines {
        text += &format!("  {}\n", line.replace('\n', "\n  "));
    }
    let mut json = describe::account(&world.folder, account, Some(store));
    if let Value::Object(members) = &mut json {
        members.insert("device".to_owned(), json!(enrolled.device));
        members.insert("name".to_owned(), json!(enrolled.name));
        members.insert("instance".to_owned(), json!(enrolled.instance));
        members.insert("keys".to_owned(), json!(state.keys.keys));
        members.insert(
            "attested".to_owned(),
            json!(done.activated.as_ref().map(|activated| activated.attested)),
        );
        members.insert("notes".to_owned(), json!(done.notes));
        members.insert("try".to_owned(), json!(lines));
    }
    Told { text, json }
}

/// Lets OpenSSL, and curl with it, use a key in a TPM: randomness and hashing stay with the default provider.
pub const OPENSSL_CONFIGURATION: &str = "\
openssl_conf = openssl_init

[openssl_init]
providers = providers
alg_section = algorithms
random = random

[providers]
default = default_provider
tpm2 = tpm2_provider

[default_provider]
activate = 1

[tpm2_provider]
activate = 1

[algorithms]
default_properties = ?provider=tpm2,tpm2.digest!=yes,tpm2.cipher!=yes

[random]
random = CTR-DRBG
properties = provider=default
seed_properties = provider=default
";
