/** ChatML, the format that many models without a template of their own were trained with. */
export const CHATML = `{% for message in messages %}\
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}\
{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`

/** A plain transcript, for models that know no roles; such models begin an answer with a space themselves. */
export const PLAIN = `{{ bos_token }}{% for message in messages %}\
{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}\
{% elif message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n' }}\
{% else %}{{ 'Assistant: ' + message['content'] | trim + '\\n' }}{% endif %}\
{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}`
