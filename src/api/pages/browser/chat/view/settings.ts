import type { VNode } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { html } from '../../shared/html.ts'
import { Icon } from '../../shared/icons.ts'
import { type Conversation, asMarkdown } from '../model/conversation.ts'
import { SAMPLING_FIELDS, type SamplingField, withField, withStop } from '../model/sampling-fields.ts'
import { changeAndKeep, current } from '../model/state.ts'
import { SHORTCUTS } from './shortcuts.ts'

/** What holds for one conversation: its title, its system prompt, how tokens are chosen. */
export function Settings({ onClose }: { readonly onClose: () => void }): VNode {
  const conversation = current.value
  const set = (how: (before: Conversation) => Conversation): void => changeAndKeep(conversation.id, how)
  const { title, system, sampling } = conversation
  const hasMessages = conversation.messages.length > 0
  return html`<form class="settings" onSubmit=${(event: Event) => event.preventDefault()}>
    <div class="settings-head">
      <h2>This conversation</h2>
      <button type="button" class="icon-button" aria-label="Close" onClick=${onClose}><${Icon} name="close" /></button>
    </div>
    ${
      hasMessages &&
      html`<label class="field">
        <span>Title</span>
        <input
          value=${title}
          dir="auto"
          onChange=${onText((text) => set((before) => ({ ...before, title: text || before.title })))}
        />
      </label>`
    }
    <label class="field">
      <span>System prompt</span>
      <textarea
        rows="4"
        dir="auto"
        placeholder="How the model should behave"
        value=${system}
        onInput=${onText((text) => set((before) => ({ ...before, system: text })))}
      ></textarea>
    </label>
    <h3>How tokens are chosen</h3>
    <p class="quiet">What is left empty is the model’s own default.</p>
    <div class="sampling">
      ${SAMPLING_FIELDS.map((field) => html`<${NumberField} key=${field.name} field=${field} />`)}
      <label class="field wide">
        <span>Stop texts</span>
        <textarea
          rows="2"
          placeholder="One a line, up to four"
          value=${sampling.stop?.join('\n') ?? ''}
          onChange=${onText((text) => set((before) => ({ ...before, sampling: withStop(before.sampling, text) })))}
        ></textarea>
      </label>
    </div>
    <div class="buttons start">
      <button type="button" class="button small" onClick=${() => set((before) => ({ ...before, sampling: {} }))}>
        Back to defaults
      </button>
      ${
        hasMessages &&
        html`<button type="button" class="button small" onClick=${() => download(conversation)}>
          <${Icon} name="download" /> Save as Markdown
        </button>`
      }
    </div>
    <h3>Keys</h3>
    <dl class="shortcuts">
      ${SHORTCUTS.map(
        ([key, what]) =>
          html`<div>
            <dt><kbd>${key}</kbd></dt>
            <dd>${what}</dd>
          </div>`,
      )}
    </dl>
  </form>`
}

function NumberField({ field }: { readonly field: SamplingField }): VNode {
  const { name, label, hint, min, max } = field
  const { id, sampling } = current.value
  const value = sampling[name]
  const [typed, setTyped] = useState(String(value ?? ''))
  const changed = withField(sampling, field, typed)
  const isWrong = changed === undefined
  // It may be changed from elsewhere: by going back to the defaults.
  useEffect(() => {
    if (!isWrong && changed[name] !== value) setTyped(String(value ?? ''))
  }, [value])
  const take = (text: string): void => {
    setTyped(text)
    const next = withField(current.value.sampling, field, text)
    if (next !== undefined) changeAndKeep(id, (before) => ({ ...before, sampling: next }))
  }
  return html`<label class=${`field ${isWrong ? 'wrong' : ''}`} title=${hint}>
    <span>${label}</span>
    <input
      inputmode="decimal"
      value=${typed}
      placeholder="default"
      aria-invalid=${isWrong}
      aria-description=${`${hint}; ${min} to ${max}`}
      onInput=${onText(take)}
    />
    ${isWrong && html`<span class="error-text" role="alert">${min} to ${max}</span>`}
  </label>`
}

function onText(take: (text: string) => void): (event: Event) => void {
  return (event) => take((event.currentTarget as HTMLInputElement | HTMLTextAreaElement).value)
}

function download(conversation: Conversation): void {
  const url = URL.createObjectURL(new Blob([asMarkdown(conversation)], { type: 'text/markdown' }))
  const link = document.createElement('a')
  link.href = url
  link.download = `${conversation.title.replaceAll(/[^\p{L}\p{N} _-]/gu, '').trim() || 'conversation'}.md`
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 1000)
}
