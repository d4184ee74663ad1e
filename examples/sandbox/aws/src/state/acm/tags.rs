//! Tags of certificates.

use crate::state::{Answer, Refusal, State, Tags, tags::check_tag};

impl State {
    /// AddTagsToCertificate.
    pub fn tag_certificate(&mut self, arn: &str, tags: &[(String, String)]) -> Answer<()> {
        self.certificate(arn)?;
        let mut after = self.tags.get(arn).cloned().unwrap_or_default();
        after.extend(self.checked_acm_tags(tags)?);
        self.check_tag_count(&after)?;
        self.tags.insert(arn.to_owned(), after);
        Ok(())
    }

    /// RemoveTagsFromCertificate: a key without value goes with any value, one
    /// with a value only with that value.
    pub fn untag_certificate(
        &mut self,
        arn: &str,
        tags: &[(String, Option<String>)],
    ) -> Answer<()> {
        self.certificate(arn)?;
        if let Some(present) = self.tags.get_mut(arn) {
            present.retain(|key, value| {
                !tags.iter().any(|(gone, only)| {
                    gone == key && only.as_ref().is_none_or(|only| only == value)
                })
            });
        }
        Ok(())
    }

    /// Tags that a certificate can have.
    pub(super) fn checked_acm_tags(&self, tags: &[(String, String)]) -> Answer<Tags> {
        let mut checked = Tags::new();
        for (key, value) in tags {
            check_tag(key, value).map_err(|text| Refusal::new("InvalidTagException", text))?;
            if checked.insert(key.clone(), value.clone()).is_some() {
                return Err(Refusal::new(
                    "InvalidTagException",
                    format!("The tag key '{key}' was specified more than once"),
                ));
            }
        }
        self.check_tag_count(&checked)?;
        Ok(checked)
    }

    fn check_tag_count(&self, tags: &Tags) -> Answer<()> {
        let most = self.quotas.limit("tags-per-resource");
        if tags.len() > most {
            return Err(Refusal::new(
                "TooManyTagsException",
                format!("A certificate can have at most {most} tags"),
            ));
        }
        Ok(())
    }
}
