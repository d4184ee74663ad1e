//! Actions that look at the token of a client.

use super::{Answer, Refusal, authenticate::check_url};

/// A `jwt-validation` action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JwtValidation {
    /// Where the keys of the issuer are.
    pub jwks_endpoint: String,
    /// Issuer of the tokens.
    pub issuer: String,
    /// Claims besides `exp`, `iss`, `nbf` and `iat`, at most ten.
    pub additional_claims: Vec<AdditionalClaim>,
}

/// A claim that a token must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdditionalClaim {
    /// `single-string`, `string-array` or `space-separated-values`.
    pub format: String,
    /// Name.
    pub name: String,
    /// Values, one to ten.
    pub values: Vec<String>,
}

const MOST: usize = 10;
const LONGEST: usize = 256;

impl JwtValidation {
    /// Whether the action is possible.
    pub(super) fn check(&self) -> Answer<()> {
        check_url("JwksEndpoint", &self.jwks_endpoint)?;
        check_url("Issuer", &self.issuer)?;
        for (name, value) in [
            ("JwksEndpoint", &self.jwks_endpoint),
            ("Issuer", &self.issuer),
        ] {
            if value.chars().count() > LONGEST {
                return Err(Refusal::validation(format!(
                    "{name} must have at most {LONGEST} characters"
                )));
            }
        }
        if self.additional_claims.len() > MOST {
            return Err(Refusal::validation(format!(
                "At most '{MOST}' additional claims can be specified"
            )));
        }
        for (index, claim) in self.additional_claims.iter().enumerate() {
            claim.check()?;
            if self.additional_claims[..index]
                .iter()
                .any(|other| other.name == claim.name)
            {
                return Err(Refusal::validation(format!(
                    "The claim '{}' was specified more than once",
                    claim.name
                )));
            }
        }
        Ok(())
    }
}

impl AdditionalClaim {
    fn check(&self) -> Answer<()> {
        let bad = |why: &str| {
            Err(Refusal::validation(format!(
                "The additional claim '{}' {why}",
                self.name
            )))
        };
        let formats = ["single-string", "string-array", "space-separated-values"];
        if !formats.contains(&self.format.as_str()) {
            return bad("has a format that is not valid");
        }
        if matches!(self.name.as_str(), "" | "exp" | "iss" | "nbf" | "iat") {
            return bad("cannot be specified");
        }
        if !(1..=MOST).contains(&self.values.len()) {
            return bad("must have 1 to 10 values");
        }
        let length = |value: &String| (1..=LONGEST).contains(&value.chars().count());
        if !self.values.iter().all(length) {
            return bad("has a value that has not 1 to 256 characters");
        }
        let spaced = self.values.iter().any(|value| value.contains(' '));
        if self.format == "space-separated-values" && spaced {
            return bad("has a value with a space");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_have_limits() {
        let good = |format: &str, name: &str, values: &[&str]| {
            let jwt = JwtValidation {
                jwks_endpoint: "https://idp.example.com/keys".to_owned(),
                issuer: "https://idp.example.com".to_owned(),
                additional_claims: vec![AdditionalClaim {
                    format: format.to_owned(),
                    name: name.to_owned(),
                    values: values.iter().map(|value| (*value).to_owned()).collect(),
                }],
            };
            jwt.check().is_ok()
        };
        assert!(good("single-string", "tenant", &["a b"]));
        assert!(!good("space-separated-values", "scope", &["a b"]));
        assert!(!good("list", "tenant", &["a"]));
        assert!(!good("single-string", "exp", &["1"]));
        assert!(!good("string-array", "groups", &[]));
        assert!(!good("string-array", "groups", &["a"; 11]));
        assert!(!good("string-array", "groups", &[&"a".repeat(257)]));
    }

    #[test]
    fn endpoints_are_https() {
        let jwt = JwtValidation {
            jwks_endpoint: "http://idp.example.com/keys".to_owned(),
            issuer: "https://idp.example.com".to_owned(),
            additional_claims: Vec::new(),
        };
        assert!(jwt.check().is_err());
    }
}
