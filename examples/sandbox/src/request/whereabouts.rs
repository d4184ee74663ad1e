//! Where the sandbox is that a request is sent to.

use std::path::Path;

use anyhow::{Context, bail};
use sandbox_aws::resources::Resources;
use serde_json::Value;

use super::{Asked, Told, send};
use crate::console::objects::Objects;
use crate::console::picture::{self, Place};
use crate::web;

/// Where a sandbox runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// Its console.
    Console(String),
    /// Its AWS alone.
    Aws(String),
}

impl Whereabouts {
    /// By `SANDBOX_CONSOLE` or `AWS_ENDPOINT_URL`, of an env file or of the
    /// environment.
    ///
    /// # Errors
    /// In a sentence: neither is there.
    pub fn find(env_file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = env_file else {
            return Self::among(|name| std::env::var(name).ok());
        };
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "no sandbox is up: its env file {} cannot be read",
                path.display()
            )
        })?;
        Self::among(|name| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            let (_, value) = lines.find(|(key, _)| *key == name)?;
            Some(value.to_owned())
        })
    }

    fn among(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        variable("SANDBOX_CONSOLE")
            .map(Self::Console)
            .or_else(|| variable("AWS_ENDPOINT_URL").map(Self::Aws))
            .context(
                "where is the sandbox? Neither SANDBOX_CONSOLE nor AWS_ENDPOINT_URL is set; sandbox \
                 up prints both, and its --env-file has them",
            )
    }

    /// Sends a request and tells what came of it.
    ///
    /// # Errors
    /// As [`send`]; or the sandbox does not answer.
    pub async fn send(&self, asked: &Asked) -> anyhow::Result<Told> {
        match self {
            Self::Console(url) => {
                let body = serde_json::to_value(asked)?;
                let answer = web::tell_sim(url, "/api/request", &body)
                    .await
                    .context("the console of the sandbox does not answer")?;
                if answer.status.is_success() {
                    return Ok(serde_json::from_str(&answer.body)?);
                }
                let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                bail!("{}", said["error"].as_str().unwrap_or(answer.body.trim()));
            }
            Self::Aws(url) => {
                let resources: Resources = web::sim(url, "/_sim/resources").await?;
                let place = Place::default();
                let picture = picture::draw(&place, &Objects::default(), &resources);
                send(url, asked, &resources, &picture)
                    .await
                    .map_err(anyhow::Error::msg)
            }
        }
    }
}
