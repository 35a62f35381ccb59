import { z } from 'zod'

/**
 * Fields of OpenAI, vLLM and llama.cpp that would change an answer, and have no effect here: they are refused, and so
 * are those that go by another name here.
 */
export const UNSERVED_FIELDS = {
  allowed_token_ids: unserved('is not known here: give guided_choice or guided_regex'),
  bad_words: unserved('is not known here: give logit_bias for their tokens'),
  dry_multiplier: unserved('is not known here: give presence_penalty or frequency_penalty'),
  grammar: unserved('is not enforced here: give a JSON schema, a regex or a choice'),
  include_stop_str_in_output: unserved('is not known here: texts end before what stops them'),
  json_schema: unserved('is called response_format here'),
  mirostat: unserved('is not known here: give temperature, top_p or min_p'),
  repeat_penalty: unserved('is called repetition_penalty here', 1),
  stop_sequences: unserved('are called stop here'),
  truncate_prompt_tokens: unserved('is not known here: cut the prompt yourself; /tokenize counts its tokens'),
  use_beam_search: unserved('is not known here: ask for several texts with n'),
  xtc_probability: unserved('is not known here: give temperature, top_p or min_p'),
}

export const UNSERVED_CHAT_FIELDS = {
  ...UNSERVED_FIELDS,
  audio: unserved('is not given here: text only'),
  best_of: unserved('is known for completions only: ask for several texts with n', 1),
  chat_template: unserved('is chosen where the server is started, with --template'),
  documents: unserved('are not known here: put them into a message'),
  echo: unserved('is known for completions only: /apply-template prints the prompt'),
  enable_thinking: given('is a variable of the chat template: give it in chat_template_kwargs'),
  max_output_tokens: unserved('is called max_completion_tokens here'),
  modalities: z.array(z.literal('text', { error: 'is not given here: text only' })).nullish(),
  prompt_logprobs: unserved('are told by /v1/completions: /apply-template prints the prompt for it'),
  suffix: unserved('is not known here: an answer is written to its end'),
  thinking: given('is up to the chat template: give its variables in chat_template_kwargs'),
  web_search_options: unserved('nothing is searched here: offer a tool, and run it yourself'),
}

/** A field that is refused, with what to do instead, unless it asks for nothing or has its usual value. */
export function unserved(cure: string, usual?: unknown) {
  return z.custom<unknown>((value) => asksNothing(value) || value === usual, { error: cure }).optional()
}

/** A field that is refused whatever its value is. */
function given(cure: string) {
  return z.null(cure).optional()
}

function asksNothing(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0
  return value === undefined || value === null || value === false || value === '' || value === 0
}
