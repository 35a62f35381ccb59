import { z } from 'zod'

/** Fields of OpenAI, vLLM and llama.cpp that would change an answer, and have no effect here: they are refused. */
export const UNSERVED_FIELDS = {
  allowed_token_ids: unserved('is not known here: give guided_choice or guided_regex'),
  bad_words: unserved('is not known here: give logit_bias for their tokens'),
  grammar: unserved('is not enforced here: give a JSON schema, a regex or a choice'),
  include_stop_str_in_output: unserved('is not known here: texts end before what stops them'),
  truncate_prompt_tokens: unserved('is not known here: cut the prompt yourself; /tokenize counts its tokens'),
  use_beam_search: unserved('is not known here: ask for several texts with n'),
}

export const UNSERVED_CHAT_FIELDS = {
  ...UNSERVED_FIELDS,
  chat_template: unserved('is chosen where the server is started, with --template'),
  continue_final_message: unserved(
    'is not known here: print the prompt with /apply-template, and send /v1/completions',
  ),
  documents: unserved('are not known here: put them into a message'),
  modalities: z.array(z.literal('text', { error: 'is not given here: text only' })).nullish(),
  web_search_options: unserved('nothing is searched here: offer a tool, and run it yourself'),
}

/** A field that is refused, with what to do instead, unless it asks for nothing. */
export function unserved(cure: string) {
  return z.custom<unknown>(asksNothing, { error: cure }).optional()
}

function asksNothing(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0
  return value === undefined || value === null || value === false || value === '' || value === 0
}
