import { ApiError } from './api-error.ts'

/** Patterns of one form's field names, and what another form calls them. */
export type FieldNames = readonly (readonly [RegExp, string])[]

/**
 * Does work on a request that was turned from one form into another: errors name its fields as the client does. Throws
 * as `work`.
 */
export async function inFieldNames<T>(names: FieldNames, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const param = error instanceof ApiError ? error.details.param : undefined
    if (!(error instanceof ApiError) || param === undefined) throw error
    const named = names.reduce((text, [pattern, name]) => text.replace(pattern, name), param)
    const rest = error.message.startsWith(`${param}:`) ? error.message.slice(param.length) : undefined
    const message = rest === undefined ? error.message : `${named}${rest}`
    throw new ApiError(message, { ...error.details, param: named }, { cause: error })
  }
}
