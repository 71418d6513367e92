//! Does what is shipped beside the programs fit them? Units, the first configuration, packages, the dashboard.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use latchkey_tests::openssl::openssl;
use latchkey_tests::{agent, cli};
use serde_json::Value;

/// `--help` after the arguments: they are read, and nothing is done.
#[test]
fn units_start_programs_with_arguments_that_they_take() {
    let units = [GATEWAY_UNIT, AGENT_UNIT].map(|unit| std::fs::read_to_string(repository(unit)).unwrap());

    let commands: Vec<Vec<&str>> = units.iter().flat_map(|unit| commands(unit)).collect();
    let refused: Vec<_> = commands.iter().filter(|command| !is_taken(command)).collect();

    assert_eq!(refused, Vec::<&Vec<&str>>::new());
    assert_eq!(commands.len(), 3, "{commands:?}");
    assert!(!is_taken(&[
        "/usr/bin/latchkey",
        "run",
        "--configuration",
        "latchkey.yaml"
    ]));
}

#[test]
fn the_configuration_to_begin_with_is_fit_once_its_files_are_there() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).display().to_string();
    let shipped = std::fs::read_to_string(repository("gateway/packaging/latchkey.yaml")).unwrap();
    let text = ["/etc/latchkey", "/var/lib/latchkey", "/var/log/latchkey"]
        .iter()
        .fold(shipped, |text, folder| text.replace(folder, &at("")));
    let file = at("latchkey.yaml");
    std::fs::write(&file, text).unwrap();
    std::fs::create_dir(at("tls")).unwrap();
    std::os::unix::fs::symlink(repository("policies/shipped"), at("policies")).unwrap();
    let check = || cli::latchkey(["config", "check", &file]);

    let without_keys = check();
    certificate(&at("tls/device-ca"), "keyUsage=critical,keyCertSign,cRLSign");
    certificate(&at("tls/server"), &format!("subjectAltName={}", names(&file)));
    let with_keys = check();

    assert!(!without_keys.success, "{without_keys:?}");
    assert!(with_keys.success, "{with_keys:?}");
}

/// Else the gateway refuses the sockets that systemd hands it.
#[test]
fn the_socket_unit_listens_where_the_configuration_to_begin_with_does() {
    let unit = std::fs::read_to_string(repository("gateway/packaging/latchkey.socket")).unwrap();
    let shipped = std::fs::read_to_string(repository("gateway/packaging/latchkey.yaml")).unwrap();
    let every_key = std::fs::read_to_string(repository("gateway/src/config/example.yaml")).unwrap();

    let sockets: Vec<_> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("ListenStream="))
        .collect();

    let [shipped, every_key]: [Value; 2] = [shipped, every_key].map(|text| serde_yaml::from_str(&text).unwrap());
    assert_eq!(
        sockets,
        [
            shipped["listen"].as_str().unwrap(),
            every_key["metrics_listen"].as_str().unwrap()
        ]
    );
    assert_eq!(shipped.get("metrics_listen"), None);
}

/// What systemd itself says of the units.
#[test]
fn systemd_takes_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["latchkey.service", "latchkey.socket"] {
        let unit = std::fs::read_to_string(repository("gateway/packaging").join(name)).unwrap();
        let program = cli::program().display().to_string();
        std::fs::write(at(name), unit.replace("/usr/bin/latchkey", &program)).unwrap();
    }
    let verify = || {
        let units = ["latchkey.service", "latchkey.socket"].map(at);
        let output = Command::new("systemd-analyze")
            .arg("verify")
            .args(units)
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        complaints
            .lines()
            .filter(|line| line.contains("latchkey"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };

    let as_shipped = verify();
    let with_a_slip = std::fs::read_to_string(at("latchkey.socket"))
        .unwrap()
        .replace("ListenStream", "LisenStream");
    std::fs::write(at("latchkey.socket"), with_a_slip).unwrap();

    assert_eq!(as_shipped, Vec::<String>::new());
    assert!(!verify().is_empty());
}

#[test]
fn every_file_that_the_packages_carry_is_there() {
    for folder in ["gateway", "device-checks/agent"] {
        let carried = carried(folder);

        assert!(carried.len() > 1, "{folder}: {carried:?}");
        for source in carried.iter().filter(|source| !source.starts_with("target/")) {
            let path = repository(folder).join(source);
            // A pattern stands for some files of its folder.
            let there = match source.contains('*') {
                true => path.parent().is_some_and(Path::is_dir),
                false => path.is_file(),
            };
            assert!(there, "{folder}: {source}");
        }
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_the_gateway_has() {
    let known = metrics_of_the_source();

    let asked: BTreeSet<String> = expressions().iter().flat_map(|text| metrics_in(text)).collect();
    let unknown: Vec<_> = asked.iter().filter(|name| !known.contains(*name)).collect();

    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(asked.contains("latchkey_decision_seconds_bucket"), "{asked:?}");
    assert!(!known.contains("latchkey_decisions"), "{known:?}");
}

#[test]
fn the_dashboard_goes_with_any_data_source_and_its_panels_do_not_overlap() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();

    let mut cells = BTreeSet::new();
    for panel in panels {
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
        for cell in cells_of(&panel["gridPos"]) {
            assert!(cell.0 < GRID && cells.insert(cell), "{} at {cell:?}", panel["title"]);
        }
    }
    let ids: BTreeSet<_> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// What a unit has run of our programs, in words.
fn commands(unit: &str) -> Vec<Vec<&str>> {
    let of_ours = unit
        .lines()
        .filter(|line| line.starts_with("Exec"))
        .filter_map(|line| line.split_once('='))
        .filter(|(_, command)| command.starts_with("/usr/bin/latchkey"));
    of_ours.map(|(_, command)| command.split(' ').collect()).collect()
}

fn is_taken(command: &[&str]) -> bool {
    let program = match command[0] {
        "/usr/bin/latchkey-agent" => agent::program(),
        _ => cli::program(),
    };
    let output = Command::new(program)
        .args(&command[1..])
        .arg("--help")
        .output()
        .unwrap();
    output.status.success()
}

/// A certificate that vouches for itself, and its key, for its owner alone.
fn certificate(name: &str, extension: &str) {
    let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
    let arguments = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=packaging",
        "-addext",
        extension,
        "-keyout",
        &key,
        "-out",
        &certificate,
    ];
    let made = openssl(arguments, "");
    assert!(made.success, "{}", made.text);
    std::fs::set_permissions(key, PermissionsExt::from_mode(0o600)).unwrap();
}

/// Every name that a configuration gives to the gateway and its applications, as a certificate lists them.
fn names(configuration: &str) -> String {
    let text = std::fs::read_to_string(configuration).unwrap();
    let configuration: Value = serde_yaml::from_str(&text).unwrap();
    let own = configuration["hosts"].as_object().unwrap().values();
    let applications = configuration["applications"].as_array().unwrap().iter();
    let hosts = own.chain(applications.flat_map(|application| application["hosts"].as_array().unwrap()));
    let names: Vec<_> = hosts.map(|host| format!("DNS:{}", host.as_str().unwrap())).collect();
    names.join(",")
}

/// What the Debian package of the crate in this folder is made from, relative to that folder.
fn carried(folder: &str) -> Vec<String> {
    let manifest = repository(folder).join("Cargo.toml").display().to_string();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .args(["--manifest-path", &manifest])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let same = |package: &&Value| {
        let own = package["manifest_path"].as_str().unwrap();
        std::fs::canonicalize(own).unwrap() == std::fs::canonicalize(&manifest).unwrap()
    };
    let package = metadata["packages"].as_array().unwrap().iter().find(same).unwrap();
    let assets = package["metadata"]["deb"]["assets"].as_array().unwrap();
    assets
        .iter()
        .map(|asset| asset[0].as_str().unwrap().to_owned())
        .collect()
}

fn dashboard() -> Value {
    let text = std::fs::read_to_string(repository("gateway/packaging/grafana-dashboard.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every query of the dashboard: those of its panels and of its variables.
fn expressions() -> Vec<String> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    targets
        .map(|target| &target["expr"])
        .chain(variables.map(|variable| &variable["query"]["query"]))
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

/// The words of a query that are names of metrics of ours.
fn metrics_in(expression: &str) -> Vec<String> {
    expression
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("latchkey_"))
        .map(str::to_owned)
        .collect()
}

/// What the gateway's source counts or measures, by the names under which `/metrics` shows it.
fn metrics_of_the_source() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for text in sources(&repository("gateway/src")) {
        names.extend(named_by("counter!(", &text));
        names.extend(named_by("gauge!(", &text));
        for name in named_by("histogram!(", &text) {
            names.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        }
    }
    names
}

/// The strings that directly follow this in a source.
fn named_by(macro_name: &str, source: &str) -> Vec<String> {
    source
        .split(macro_name)
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn sources(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(std::fs::read_to_string(&path).unwrap());
        }
    }
    texts
}

/// The places of the grid that a panel takes.
fn cells_of(position: &Value) -> Vec<(u64, u64)> {
    let [x, y, width, height] = ["x", "y", "w", "h"].map(|side| position[side].as_u64().unwrap());
    (x..x + width)
        .flat_map(|column| (y..y + height).map(move |line| (column, line)))
        .collect()
}

const GATEWAY_UNIT: &str = "gateway/packaging/latchkey.service";
const AGENT_UNIT: &str = "device-checks/agent/latchkey-agent.service";

/// How wide a dashboard is.
const GRID: u64 = 24;
