import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PetalsError, UsageError, errorMessage } from '../../base/errors.ts'
import { isFile, isJsonObject, readJsonObject } from '../../checkpoint/files/json.ts'
import { namedTokens } from '../../checkpoint/tokenizer/special-tokens.ts'
import { CHATML, PLAIN } from './builtin-templates.ts'

/** A template's text, its name for messages, and the special tokens that it may print by name. */
export interface TemplateSource {
  readonly text: string
  readonly name: string
  /** Texts of `bos_token` and the like, by name. */
  readonly specialTokens: Readonly<Record<string, string>>
  /** Strings before which an answer ends, for models without a token that ends it. */
  readonly stopStrings: readonly string[]
}

/**
 * The template that `choice` names: 'model' is the checkpoint's own, 'chatml' and 'plain' are built in, anything else
 * is a file. Throws `USAGE` if the checkpoint has none, or the file cannot be read.
 */
export async function findTemplate(folder: string, choice: string): Promise<TemplateSource> {
  const config = await readOptional(join(folder, 'tokenizer_config.json'))
  const found = { specialTokens: namedTokens(folder), stopStrings: [] }
  if (choice === 'chatml')
    return { ...found, text: CHATML, name: 'the built-in template chatml', stopStrings: ['<|im_end|>'] }
  if (choice === 'plain')
    return { ...found, text: PLAIN, name: 'the built-in template plain', stopStrings: ['\nUser:'] }
  if (choice !== 'model') return { ...found, ...(await ownFile(choice)) }
  const own = await modelTemplate(folder, config)
  if (own !== undefined) return { ...found, ...own }
  throw new UsageError(
    `${folder} has no chat template: choose --template chatml, --template plain (a transcript), or a file of your own`,
  )
}

/** The checkpoint's template, looked for in the same order as transformers does. */
async function modelTemplate(
  folder: string,
  config: Readonly<Record<string, unknown>>,
): Promise<{ text: string; name: string } | undefined> {
  const jinja = join(folder, 'chat_template.jinja')
  if (await isFile(jinja)) return { text: await readFile(jinja, 'utf8'), name: jinja }
  const json = join(folder, 'chat_template.json')
  const inJson = textOf((await readOptional(json))['chat_template'])
  if (inJson !== undefined) return { text: inJson, name: json }
  const inConfig = textOf(config['chat_template'])
  return inConfig === undefined
    ? undefined
    : { text: inConfig, name: `chat_template of ${join(folder, 'tokenizer_config.json')}` }
}

/** A template's text from a field that holds one template or a list of named ones. */
function textOf(field: unknown): string | undefined {
  if (typeof field === 'string') return field
  if (!Array.isArray(field)) return undefined
  const named = field.filter(isJsonObject)
  return textOf((named.find(({ name }) => name === 'default') ?? named[0])?.['template'])
}

async function ownFile(file: string): Promise<{ text: string; name: string }> {
  try {
    return { text: await readFile(file, 'utf8'), name: file }
  } catch (error) {
    throw new UsageError(`--template ${file}: expected model, chatml, plain or a file: ${errorMessage(error)}`, {
      cause: error,
    })
  }
}

async function readOptional(file: string): Promise<Readonly<Record<string, unknown>>> {
  return (await isFile(file)) ? await readJsonObject(file) : {}
}

/** A template that cannot be used, or that refuses the messages; says what to do instead. */
export class ChatTemplateError extends PetalsError {
  /** Why, in the template's own words where it refuses; without the place where it is stored. */
  readonly reason: string

  constructor(name: string, reason: string, cause?: unknown) {
    super('CHAT_TEMPLATE', `${name}: ${reason}; another can be chosen with --template`, { cause })
    this.reason = reason
  }
}
