//! Whose are the pages? A name, and perhaps a logo and colours, as files that pages load.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::assets::{self, Asset, STYLE};
use crate::config::{Branding, Color, Help, LogoKind};

/// Whose the pages are.
pub(crate) struct Brand {
    /// The name.
    name: String,
    logo: Option<BrandFile>,
    style: Option<BrandFile>,
    help: Option<Help>,
    inline: InlineStyle,
}

/// A style sheet for pages that carry theirs, and what their policy has to say of it.
pub(super) struct InlineStyle {
    /// The style sheet.
    pub(super) css: String,
    /// Its SHA-256 as a policy names it: `'sha256-…'`.
    pub(super) source: String,
}

/// A file of the brand, under a name that changes with what is in it.
struct BrandFile {
    name: String,
    asset: Asset,
}

/// The pages as they are without any branding.
#[cfg(test)]
pub(crate) static UNBRANDED: std::sync::LazyLock<Brand> = std::sync::LazyLock::new(|| Brand::new(&Branding::default()));

impl Brand {
    /// Makes the files.
    pub(crate) fn new(branding: &Branding) -> Self {
        let colors = branding.color.map(style);
        Self {
            name: branding.name.clone().unwrap_or_else(|| PRODUCT.to_owned()),
            logo: branding.logo.as_ref().map(|logo| match logo.kind {
                LogoKind::Svg => BrandFile::new("svg", "image/svg+xml", logo.bytes.clone()),
                LogoKind::Png => BrandFile::new("png", "image/png", logo.bytes.clone()),
            }),
            inline: InlineStyle::new(colors.as_deref().unwrap_or_default()),
            style: colors.map(|colors| BrandFile::new("css", "text/css; charset=utf-8", colors.into_bytes())),
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

    /// The name of the logo's file.
    pub(super) fn logo(&self) -> Option<&str> {
        self.logo.as_ref().map(|file| file.name.as_str())
    }

    /// The name of the style sheet that has the colours.
    pub(super) fn style(&self) -> Option<&str> {
        self.style.as_ref().map(|file| file.name.as_str())
    }

    /// All styles in one, for pages that carry theirs.
    pub(super) fn inline(&self) -> &InlineStyle {
        &self.inline
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
}

impl InlineStyle {
    fn new(colors: &str) -> Self {
        let css = format!("{STYLE}{colors}");
        let source = format!("'sha256-{}'", STANDARD.encode(Sha256::digest(&css)));
        Self { css, source }
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

/// Whose they are where nobody says anything else.
const PRODUCT: &str = "Latchkey";

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
        assert!(STYLE.contains(&format!("--card: {DARK_CARD};")));
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

        for (name, content_type) in [
            (brand.logo(), "image/svg+xml"),
            (brand.style(), "text/css; charset=utf-8"),
        ] {
            let asset = brand.asset(name.unwrap()).unwrap();
            assert_eq!(asset.content_type, content_type);
        }
        for name in ["", "brand.css", "brand.svg", "pages.css", "brand-0000000000000000.css"] {
            assert!(brand.asset(name).is_none(), "{name}");
        }
        assert!(UNBRANDED.logo().is_none() && UNBRANDED.style().is_none());
    }
}
