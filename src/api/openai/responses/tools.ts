import { badRequest } from '../../errors/api-error.ts'
import type { FunctionTool, ResponseRequest } from './request.ts'

/** A function that a response offers: alone, or one of a namespace, as agents and MCP servers group them. */
export interface OfferedFunction {
  /** Where the request has it, e.g. `tools[4].tools[0]`. */
  readonly path: string
  readonly name: string
  readonly namespace: string | undefined
  readonly tool: FunctionTool
}

/** What a function is called in a response. */
export type CallName = Pick<OfferedFunction, 'name' | 'namespace'>

/**
 * The functions of a response, those of namespaces among them. Throws an `ApiError` for tools that OpenAI runs itself,
 * such as a search of the web: nothing here does, and a model would wait for it.
 */
export function offeredFunctions({ tools = [], tool_choice: choice }: ResponseRequest): OfferedFunction[] {
  if (typeof choice === 'object' && choice.type !== 'function')
    throw badRequest(`tool_choice: ${quoted(choice.type)} is not known here: name a function`, 'tool_choice')
  return tools.flatMap((tool, i) => {
    const path = `tools[${i}]`
    if (tool.type !== 'namespace') return [offered(tool, path, undefined)]
    return (tool.tools ?? []).map((each, j) => offered(each, `${path}.tools[${j}]`, tool.name))
  })
}

/** By what name a model knows a function: it calls those of a namespace by both names, so that none is meant twice. */
export function flatName({ name, namespace }: CallName): string {
  return namespace === undefined ? name : `${namespace}.${name}`
}

/** What a response calls the function that a model has called. */
export function callNames(body: ResponseRequest): (flat: string) => CallName {
  const names = new Map(offeredFunctions(body).map((each) => [flatName(each), each]))
  return (flat) => names.get(flat) ?? { name: flat, namespace: undefined }
}

function offered(tool: FunctionTool, path: string, namespace: string | undefined): OfferedFunction {
  const { type, name } = tool
  if (type !== 'function')
    throw badRequest(`${path}: ${quoted(type)} is not run here: offer functions, and run them yourself`, `${path}.type`)
  if (name === undefined) throw badRequest(`${path}.name: is missing`, `${path}.name`)
  return { path, name, namespace, tool }
}

function quoted(type: string): string {
  return JSON.stringify(type.slice(0, 40))
}
