"""The language model: one vocabulary of text and audio, and a text LM that reads and writes it.

| module | use it for |
|---|---|
| `areca.lm.model` | `SpeechLM`: extend a text LM, compute losses, save and load |
| `areca.lm.encoding` | the values of a task as steps |
| `areca.lm.steps` | sequences of steps, and what each step predicts |
| `areca.lm.layout`, `areca.lm.patterns` | the codes of each role, their order, and the grammar of audio |
| `areca.lm.vocabulary` | the ids of text, controls and streams |

`areca.training.lm` trains one from an `LMJob`; `areca.generation.generate` answers prompts.
"""
