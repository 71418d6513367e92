//! Whose are the pages? A name, and perhaps a logo and colours, as files that pages load.

use std::borrow::Cow;

use super::assets::{self, Asset};
use crate::config::{Branding, Color, Help, LogoKind};

/// Whose the pages are.
pub(crate) struct Brand {
    /// The name.
    name: Cow<'static, str>,
    logo: Option<BrandFile>,
    style: Option<BrandFile>,
    help: Option<Help>,
}

/// A file of the brand, under a name that changes with what is in it.
struct BrandFile {
    name: String,
    asset: Asset,
}

/// The pages as they are without any branding.
pub(crate) static UNBRANDED: Brand = Brand {
    name: Cow::Borrowed("Latchkey"),
    logo: None,
    style: None,
    help: None,
};

impl Brand {
    /// Makes the files.
    pub(crate) fn new(branding: &Branding) -> Self {
        let name = branding.name.clone().map(Cow::Owned);
        Self {
            name: name.unwrap_or_else(|| UNBRANDED.name.clone()),
            logo: branding.logo.as_ref().map(|logo| match logo.kind {
                LogoKind::Svg => BrandFile::new("svg", "image/svg+xml", logo.bytes.clone()),
                LogoKind::Png => BrandFile::new("png", "image/png", logo.bytes.clone()),
            }),
            style: branding
                .color
                .map(|color| BrandFile::new("css", "text/css; charset=utf-8", style(color).into_bytes())),
            help: branding.help.clone(),
        }
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The file of that name, if it is one of the brand's.
    pub(crate) fn asset(&self, name: &str) -> Option<Asset> {
        let mut files = self.logo.iter().chain(&self.style);
        files.find(|file| file.name == name).map(|file| file.asset.clone())
    }

    /// The path of the logo.
    pub(super) fn logo(&self) -> Option<String> {
        self.logo.as_ref().map(BrandFile::path)
    }

    /// The path of the style sheet that has the colours.
    pub(super) fn style(&self) -> Option<String> {
        self.style.as_ref().map(BrandFile::path)
    }

    /// Where help is.
    pub(super) fn help(&self) -> Option<&Help> {
        self.help.as_ref()
    }
}

impl BrandFile {
    fn new(ending: &str, content_type: &'static str, body: Vec<u8>) -> Self {
        let hash = assets::hash_of(&body);
        Self {
            name: format!("brand-{hash}.{ending}"),
            asset: Asset::kept(content_type, body.into(), &hash),
        }
    }

    fn path(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

/// The colours of the pages, in light and in the dark, made of one.
fn style(color: Color) -> String {
    let light = [color, color.mixed(BLACK, 20), color.mixed(Color::WHITE, 92)];
    let on_dark = readable_in_the_dark(color);
    let dark = [on_dark, on_dark.mixed(Color::WHITE, 25), DARK_CARD.mixed(color, 30)];
    let say = |[accent, deep, tint]: [Color; 3]| {
        format!(":root{{--accent:{accent};--accent-deep:{deep};--tint:{tint};--glow:{tint}}}")
    };
    format!("{}\n@media (prefers-color-scheme:dark){{{}}}\n", say(light), say(dark))
}

/// The colour with as little white as it takes.
fn readable_in_the_dark(color: Color) -> Color {
    let mut tries = (0..=100).step_by(5).map(|percent| color.mixed(Color::WHITE, percent));
    tries
        .find(|lighter| lighter.contrast(DARK_CARD) >= CONTRAST_IN_THE_DARK)
        .unwrap_or(Color::WHITE)
}

const BLACK: Color = Color([0; 3]);

/// `--card` of the style sheet, in the dark.
const DARK_CARD: Color = Color([0x18, 0x1e, 0x29]);

const CONTRAST_IN_THE_DARK: f64 = 6.5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Logo;

    #[test]
    fn every_colour_that_is_taken_can_be_read_in_the_dark_too() {
        for color in [
            Color([0x0a, 0x6e, 0x5c]),
            Color([0x76, 0x76, 0x76]),
            Color([0, 0, 0]),
            Color([0, 0, 0xff]),
        ] {
            let lighter = readable_in_the_dark(color);
            assert!(lighter.contrast(DARK_CARD) >= CONTRAST_IN_THE_DARK, "{color}");
            assert!(style(color).starts_with(&format!(":root{{--accent:{color};")));
            assert!(style(color).contains(&format!("--accent:{lighter};")));
        }
        assert!(assets::STYLE.contains(&format!("--card: {DARK_CARD};")));
    }

    #[test]
    fn the_files_of_a_brand_are_found_by_the_names_in_its_pages_alone() {
        let logo = Logo {
            kind: LogoKind::Svg,
            bytes: b"<svg/>".to_vec(),
        };
        let brand = Brand::new(&Branding {
            logo: Some(logo),
            color: Some(BLACK),
            ..Branding::default()
        });

        for (path, content_type) in [
            (brand.logo(), "image/svg+xml"),
            (brand.style(), "text/css; charset=utf-8"),
        ] {
            let path = path.unwrap();
            let asset = brand.asset(path.strip_prefix("/assets/").unwrap()).unwrap();
            assert_eq!(asset.content_type, content_type);
        }
        for name in ["", "brand.css", "brand.svg", "pages.css", "brand-0000000000000000.css"] {
            assert!(brand.asset(name).is_none(), "{name}");
        }
        assert!(UNBRANDED.logo().is_none() && UNBRANDED.style().is_none());
    }
}
