//! Which gateway is meant? A demo's by its folder, any other by its URL and a token.

use std::path::{Path, PathBuf};

use clap::Args;
use url::Url;

use super::client::{Client, Login};
use super::error::CliError;
use super::output::Output;
use crate::setup::origin;
use crate::{config, private_file};

/// Where the gateway is, and what opens its admin API.
#[derive(Args)]
pub(super) struct Place {
    /// The folder of a demo, which has everything else that is needed
    #[arg(long, global = true, value_name = "DIR", conflicts_with_all = ["url", "ca", "token_file"])]
    dir: Option<PathBuf>,
    /// The admin host, such as https://admin.example.com; the token is taken from LATCHKEY_TOKEN
    #[arg(long, global = true, value_name = "URL")]
    url: Option<Url>,
    /// The CA of the gateway's server certificate, PEM; otherwise those that the system trusts
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A file with the token, in place of LATCHKEY_TOKEN
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the API's own JSON
    #[arg(long, global = true)]
    json: bool,
}

impl Place {
    /// How answers are to be shown.
    pub(super) fn output(&self) -> Output {
        if self.json { Output::Json } else { Output::Text }
    }

    /// Does something with the gateway.
    ///
    /// # Errors
    ///
    /// It is not clear where it is, or whatever the task says.
    pub(super) fn with<F>(self, task: impl FnOnce(Client) -> F) -> Result<(), CliError>
    where
        F: Future<Output = Result<(), CliError>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| CliError::Setup {
            what: "a runtime",
            source: source.into(),
        })?;
        let client = Client::new(self.login()?, self.output())?;
        runtime.block_on(task(client))
    }

    fn login(&self) -> Result<Login, CliError> {
        match (&self.dir, &self.url) {
            (Some(dir), _) => demo(dir),
            (None, Some(url)) => Ok(Login {
                url: url.clone(),
                authority: self.ca.as_deref().map(read).transpose()?,
                token: self.token()?,
                mdm_source: None,
            }),
            (None, None) => Err(CliError::Usage(
                "say which gateway: --dir DIR for a demo, or --url https://ADMIN-HOST with a token in LATCHKEY_TOKEN"
                    .to_owned(),
            )),
        }
    }

    fn token(&self) -> Result<String, CliError> {
        let token = match &self.token_file {
            Some(file) => read(file)?,
            None => std::env::var("LATCHKEY_TOKEN").map_err(|_| {
                CliError::Usage("expected an API token in LATCHKEY_TOKEN, or in a file by --token-file".to_owned())
            })?,
        };
        Ok(token.trim().to_owned())
    }
}

fn demo(dir: &Path) -> Result<Login, CliError> {
    let file = dir.join("latchkey.yaml");
    if !file.exists() {
        return Err(CliError::Usage(format!(
            "`{}` is no demo's folder: it has no latchkey.yaml",
            dir.display()
        )));
    }
    let config = config::load(&file)?;
    let url = origin(&config, config.hosts.admin.as_str());
    let url = Url::parse(&url).map_err(|source| CliError::Setup {
        what: "the admin host's URL",
        source: source.into(),
    })?;
    let token = private_file::read(&dir.join("admin-token"));
    let token = token.map_err(|source| CliError::Setup {
        what: "the demo's admin token",
        source: source.into(),
    })?;
    Ok(Login {
        url,
        authority: Some(read(&dir.join("ca.pem"))?),
        token: token.trim().to_owned(),
        mdm_source: match config.mdm_sources.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        },
    })
}

fn read(file: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(file).map_err(|source| CliError::File {
        file: file.to_owned(),
        source,
    })
}
