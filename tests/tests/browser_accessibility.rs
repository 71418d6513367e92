//! Can everybody use the pages, whether they see, point or read as others do?

use latchkey_tests::browser::{Browser, Setup};
use latchkey_tests::gallery::{self, Page};

#[test]
fn no_page_has_a_serious_fault_on_a_desktop() {
    let demo = gallery::demo();
    let mut found = Vec::new();

    gallery::visit(&demo, &Setup::default(), |page, browser| {
        found.extend(faults(page, browser));
    });

    assert_eq!(found, Vec::<String>::new());
}

/// Nor is anything cut off there, or to be scrolled for sideways.
#[test]
fn no_page_has_a_serious_fault_on_a_phone_in_the_dark() {
    let demo = gallery::demo();
    let (mut found, mut wide) = (Vec::new(), Vec::new());
    let overflows = "return document.documentElement.scrollWidth > innerWidth";

    gallery::visit(&demo, &Setup::default().phone().dark(), |page, browser| {
        found.extend(faults(page, browser));
        if browser.execute(overflows, &[]) == true {
            wide.push(page.name);
        }
    });

    assert_eq!(found, Vec::<String>::new());
    assert_eq!(wide, Vec::<&str>::new());
}

/// What axe-core calls serious or critical.
fn faults(page: &Page, browser: &Browser) -> Vec<String> {
    let faults = browser.accessibility_faults();
    faults.iter().map(|fault| format!("{}: {fault}", page.name)).collect()
}
