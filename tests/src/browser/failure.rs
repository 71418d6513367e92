//! What did the browser show when the test failed?

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::accessibility::target;
use super::driver::Driver;

/// Prints where the browser was, what it complained of and the page, and writes a picture. None of it must fail.
pub(super) fn show(driver: &Driver) {
    let url = driver.attempt(driver.client().current_url());
    let source = driver.attempt(driver.client().source());
    let console = driver.post("se/log", &json!({ "type": "browser" }));
    eprintln!("---- the browser was at ----\n{url:?}");
    for line in console.iter().flat_map(|lines| lines.as_array()).flatten() {
        eprintln!("{} {}", line["level"], line["message"]);
    }
    eprintln!(
        "---- its page ----\n{}",
        source.unwrap_or_else(|error| error.to_string())
    );
    if let Some(file) = picture(driver) {
        eprintln!("---- what it looked like ----\n{file}");
    }
}

fn picture(driver: &Driver) -> Option<String> {
    let capture = json!({ "cmd": "Page.captureScreenshot", "params": { "format": "png" } });
    let image = driver.post("goog/cdp/execute", &capture).ok()?;
    let image = STANDARD.decode(image["data"].as_str()?).ok()?;
    let folder = target().join("browser-failures");
    std::fs::create_dir_all(&folder).ok()?;
    let test = std::thread::current().name().unwrap_or("main").replace("::", "-");
    let file = folder.join(format!("{test}-{}.png", std::process::id()));
    std::fs::write(&file, image).ok()?;
    Some(file.display().to_string())
}
