//! Trains the small tokenizer of `datasets/`: byte-level BPE, as GPT-2's, on the text given.
//!
//! `cargo run --example train_tokenizer -- datasets/document.txt datasets/tokenizer.json`

use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, DecoderWrapper, ModelWrapper, NormalizerWrapper};
use tokenizers::{PostProcessorWrapper, PreTokenizerWrapper, TokenizerBuilder};

const VOCABULARY: usize = 4096;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut paths = std::env::args().skip(1);
    let (Some(text), Some(out)) = (paths.next(), paths.next()) else {
        return Err("usage: train_tokenizer TEXT TOKENIZER.JSON".into());
    };
    let bytes = ByteLevel::new(false, true, true);
    let mut tokenizer = TokenizerBuilder::<
        ModelWrapper,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >::new()
    .with_model(BPE::default().into())
    .with_pre_tokenizer(Some(bytes.into()))
    .with_post_processor(Some(bytes.into()))
    .with_decoder(Some(bytes.into()))
    .build()?;
    let mut trainer: TrainerWrapper = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(VOCABULARY)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![AddedToken::from("<|end|>", true)])
        .build()
        .into();
    tokenizer.train_from_files(&mut trainer, vec![text])?;
    tokenizer.save(out, false)?;
    Ok(())
}
