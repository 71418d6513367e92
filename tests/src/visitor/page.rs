//! What does a page say, where does it lead, and what does its form ask for?

use url::Url;

use crate::answer::Answer;

/// What came back from an address.
#[derive(Debug, Clone)]
pub struct Page {
    /// The address.
    pub url: String,
    /// The answer.
    pub answer: Answer,
}

/// The first form of a page.
#[derive(Debug)]
pub struct Form {
    /// Where it is sent to.
    pub action: String,
    /// What is hidden in it: name and value.
    pub hidden: Vec<(String, String)>,
}

impl std::ops::Deref for Page {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.answer
    }
}

impl Page {
    /// The address that it sends to, if it does.
    pub fn location(&self) -> Option<String> {
        let redirects = (300..400).contains(&self.status);
        let location = self.header("location").filter(|_| redirects)?;
        Some(self.absolute(location))
    }

    /// What an address on this page means.
    pub fn absolute(&self, reference: &str) -> String {
        Url::parse(&self.url).unwrap().join(reference).unwrap().into()
    }

    /// The host that it came from.
    pub fn host(&self) -> String {
        let url = Url::parse(&self.url).unwrap();
        url.host_str().unwrap_or_default().to_owned()
    }

    /// The path that it came from.
    pub fn path(&self) -> String {
        Url::parse(&self.url).unwrap().path().to_owned()
    }

    /// The addresses of its links.
    pub fn links(&self) -> Vec<String> {
        let html = self.text();
        let tags = html.split("<a ").skip(1);
        tags.filter_map(|tag| attribute(tag, "href")).collect()
    }

    /// The address of the link to this path, absolute.
    pub fn link(&self, path: &str) -> Option<String> {
        let links = self.links();
        let link = links.iter().find(|link| link.split('?').next() == Some(path))?;
        Some(self.absolute(link))
    }

    /// What it says between its head and its foot.
    pub fn said(&self) -> String {
        let text = self.text();
        let main = text.split("<main").nth(1).and_then(|rest| rest.split("</main>").next());
        main.map_or_else(|| text.clone(), str::to_owned)
    }

    /// Its first form.
    pub fn form(&self) -> Option<Form> {
        let html = self.text();
        let form = html.split("<form ").nth(1)?.split("</form>").next()?.to_owned();
        let inputs = form.split("<input ").skip(1);
        let hidden = inputs.filter(|input| attribute(input, "type").as_deref() == Some("hidden"));
        let hidden = hidden.filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)));
        Some(Form {
            action: attribute(&form, "action")?,
            hidden: hidden.collect(),
        })
    }

    /// The sealed state that the page carries.
    ///
    /// # Panics
    /// When it carries none.
    pub fn state(&self) -> String {
        let hidden = self.form().into_iter().flat_map(|form| form.hidden);
        let mut states = hidden.filter(|(name, _)| name == "state").map(|(_, value)| value);
        let in_form = states.next();
        let in_address = || {
            let url = Url::parse(&self.url).ok()?;
            let mut pairs = url.query_pairs();
            pairs
                .find(|(name, _)| name == "state")
                .map(|(_, value)| value.into_owned())
        };
        in_form
            .or_else(in_address)
            .unwrap_or_else(|| panic!("no state at {}: {}", self.url, self.text()))
    }

    /// The values of every field of this name (in lower case).
    pub fn fields(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// The value of an attribute in a tag of ours: in double quotes, with the few entities that are written.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split('>').next()?;
    let tag = format!(" {tag}");
    let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
    let entities = [
        ("&#38;", "&"),
        ("&amp;", "&"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
    ];
    Some(entities.iter().fold(value.to_owned(), |text, (entity, character)| {
        text.replace(entity, character)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_for_its_links_and_its_form() {
        let html = "<a href=\"/sign-in/next?a=1&#38;b=2\">on</a><form method=\"post\" action=\"/sign-in/user\">\
                    <input type=\"hidden\" name=\"state\" value=\"sealed\"><input name=\"username\"></form>";
        let answer = Answer {
            status: 200,
            body: html.into(),
            ..Answer::default()
        };
        let page = Page {
            url: "https://auth.localhost:1/sign-in".to_owned(),
            answer,
        };

        let form = page.form().unwrap();
        assert_eq!((form.action.as_str(), form.hidden.len()), ("/sign-in/user", 1));
        assert_eq!(page.state(), "sealed");
        assert_eq!(
            page.link("/sign-in/next").as_deref(),
            Some("https://auth.localhost:1/sign-in/next?a=1&b=2")
        );
    }
}
