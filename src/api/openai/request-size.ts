import { z } from 'zod'
import { badRequest } from '../errors/api-error.ts'

/**
 * The most values of a request besides those of fields that are checked by hand, such as a prompt of token ids: ten
 * thousand messages have half as many. A validator makes an object of each value, and another of each fault.
 */
const MAX_VALUES = 1 << 16

/** Throws an `ApiError` for a request that would take long to be checked. */
export function checkSize(schema: z.ZodType, body: unknown): void {
  if (typeof body !== 'object' || body === null) return
  const shape: Readonly<Record<string, unknown>> = schema instanceof z.ZodObject ? schema.shape : {}
  const checked = Object.entries(body).flatMap(([name, value]) => (shape[name] instanceof z.ZodCustom ? [] : [value]))
  const open: unknown[] = [checked]
  for (let count = 0; open.length > 0; count++) {
    const value = open.pop()
    if (typeof value !== 'object' || value === null) continue
    const parts = Array.isArray(value) ? value : Object.values(value)
    if (count + open.length + parts.length > MAX_VALUES) throw badRequest(`the body has more than ${MAX_VALUES} values`)
    for (const part of parts) open.push(part)
  }
}
