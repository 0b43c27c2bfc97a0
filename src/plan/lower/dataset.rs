//! `dataset:` → [`RowSource`].
//!
//! In: a written dataset. Out: its files, as paths and patterns within the plan's root, and how they
//! are read. Invariant: files are looked up here and opened by nobody on this floor; what is in
//! them is for `workload::check` to say.

use std::path::PathBuf;

use super::Lowering;
use crate::plan::bind::Spanned;
use crate::plan::diagnostic::Code;
use crate::plan::file::{DatasetFile, DatasetKeys, FieldKeys, OutputWord};
use crate::plan::workload::{DatasetConfig, FieldPointers, OutputLimit, RowOrder, RowSource};

impl Lowering<'_> {
    /// A dataset; `None` when it can't be used, which has been reported. Its rows are asked as they
    /// are unless templates use them.
    pub(super) fn dataset(
        &mut self,
        written: &Spanned<DatasetFile>,
        has_templates: bool,
    ) -> Option<RowSource> {
        let output = if has_templates { OutputLimit::Plan } else { OutputLimit::Numbers };
        let source = RowSource {
            config: DatasetConfig { asked: !has_templates, ..DatasetConfig::default() },
            order: RowOrder::File,
            output,
            seen: None,
            location: self.location(written.at.span),
        };
        match &written.value {
            DatasetFile::Text(path) => {
                let files = vec![self.rows_file("dataset", path)?];
                let confine = self.confine(std::slice::from_ref(path));
                let config = DatasetConfig { files, confine, ..source.config };
                Some(RowSource { config, ..source })
            }
            DatasetFile::Map(keys) => self.dataset_in_detail(written, keys, source),
        }
    }

    fn dataset_in_detail(
        &mut self,
        written: &Spanned<DatasetFile>,
        keys: &DatasetKeys,
        source: RowSource,
    ) -> Option<RowSource> {
        let texts = keys.path.as_ref().map_or(&[][..], |path| path.texts());
        if texts.is_empty() {
            if !self.has_bad(written.at) {
                let help = "add `path: rows.jsonl`";
                self.error(Code::MissingKey, written.at.span, "`dataset` names no files", help);
            }
            return None;
        }
        let files: Vec<_> = texts.iter().map(|text| self.rows_file("dataset.path", text)).collect();
        let limit = self.positive("limit", keys.limit);
        let block_tokens = self.positive("block_size", keys.block_size);
        let fields = keys.fields.as_ref().map_or_else(FieldPointers::default, |it| self.fields(it));
        Some(RowSource {
            config: DatasetConfig {
                files: files.into_iter().collect::<Option<_>>()?,
                confine: self.confine(texts),
                format: keys.format.map(|word| word.value),
                fields,
                timestamp_unit: keys.timestamp_unit.map(|word| word.value),
                malformed: keys.on_malformed.map(|word| word.value).unwrap_or_default(),
                recorded_failures: keys
                    .recorded_failures
                    .map(|word| word.value)
                    .unwrap_or_default(),
                limit,
                block_tokens,
                ..source.config
            },
            order: keys.order.map(|word| word.value).unwrap_or_default(),
            output: match keys.output.map(|word| word.value) {
                Some(OutputWord::Row) => OutputLimit::Row,
                Some(OutputWord::Recorded) => OutputLimit::Recorded,
                Some(OutputWord::Plan) => OutputLimit::Plan,
                None => source.output,
            },
            ..source
        })
    }

    /// The folder that the matches of patterns may not leave: the plan's root, unless it is the
    /// person at the keyboard who named all of them.
    fn confine(&self, texts: &[Spanned<String>]) -> Option<PathBuf> {
        let is_free = self.options.allow_outside_root
            || texts.iter().all(|written| self.is_from_outside(written));
        (!is_free).then(|| self.root.clone())
    }

    /// A path that must be there, or a pattern whose matches are looked up when it is opened.
    fn rows_file(&mut self, key: &str, written: &Spanned<String>) -> Option<String> {
        let text = written.value.trim();
        let folder = self.base(written);
        if text.contains(['*', '?', '[']) && !folder.join(text).exists() {
            // The folder's own name is no pattern.
            let folder = glob::Pattern::escape(&folder.to_string_lossy());
            return Some(std::path::Path::new(&folder).join(text).to_string_lossy().into_owned());
        }
        self.data_file(key, written).map(|path| path.to_string_lossy().into_owned())
    }

    fn fields(&mut self, keys: &FieldKeys) -> FieldPointers {
        FieldPointers {
            messages: self.pointer(keys.messages.as_ref()),
            prompt: self.pointer(keys.prompt.as_ref()),
            system: self.pointer(keys.system.as_ref()),
            timestamp: self.pointer(keys.timestamp.as_ref()),
            session: self.pointer(keys.session.as_ref()),
            id: self.pointer(keys.id.as_ref()),
            model: self.pointer(keys.model.as_ref()),
            max_tokens: self.pointer(keys.max_tokens.as_ref()),
            output_tokens: self.pointer(keys.output_tokens.as_ref()),
            input_tokens: self.pointer(keys.input_tokens.as_ref()),
            hash_ids: self.pointer(keys.hash_ids.as_ref()),
        }
    }

    fn pointer(&mut self, written: Option<&Spanned<String>>) -> Option<String> {
        let written = written?;
        if !written.value.starts_with('/') {
            let message = format!("`{}` is no JSON pointer", written.value);
            let help = format!("it begins with `/`: `/{}`", written.value.replace('.', "/"));
            self.error(Code::Value, written.at.span, message, &help);
        }
        Some(written.value.clone())
    }
}
