import { workerData } from 'node:worker_threads'
import { answerCalls } from '../../base/thread/answer-calls.ts'
import { compileTemplate } from './jinja-template.ts'
import type { PrinterCalls } from './printer-calls.ts'
import { ChatTemplateError, type TemplateSource } from './template-source.ts'

/** How long one conversation may take, for which others wait that are long as well. */
const TIMEOUT_MS = 5000

/** The thread that prints long conversations. */
answerCalls<PrinterCalls>(() => {
  const template = compileTemplate(workerData as TemplateSource, TIMEOUT_MS)
  return {
    print({ messages, options }) {
      try {
        return { text: template.render(messages, options) }
      } catch (error) {
        if (error instanceof ChatTemplateError) return { refusal: error.reason }
        throw error
      }
    },
  }
})
