// The vocabulary of the synthetic stories; stories/grammar.h explains the notation.
#include "stories/story_text.h"

namespace flashlm {

const std::string_view kStoryWords = R"grammar(
:girl unique zipf
Lily|Mia|Anna|Sue|Lucy|Emma|Amy|Bella|Daisy|Ruby|Zoe|Molly|Rosie|Ella|Nora|Ivy|Clara|Hazel|Poppy|Tina|Maya
Jenny
Kate|Alice|Sally|Penny|Olive|Holly|Nina|Tara|Wendy|Flora|Greta|Heidi|Josie|Katie|Lola|Mina|Nelly|Ona|Paula
Rita
Sara|Tilly|Una|Vera|Willow|Yara|Zara|Abby|Betty|Cora|Dora|Elsie|Fern|Gina|Honey|Ida|Jade|Kira|Luna|Maggie
Opal
:boy unique zipf
Tim|Tom|Ben|Max|Sam|Jack|Leo|Billy|Finn|Oscar|Henry|Theo|Jake|Noah|Toby|Charlie|Peter|Danny|Eddie|Felix
George
Harry|Ian|Joey|Kevin|Liam|Milo|Ned|Ollie|Paul|Ray|Simon|Teddy|Victor|Will|Zack|Adam|Bobby|Carl|David|Elliot
Fred
Gus|Hugo|Ivan|Jimmy|Karl|Louie|Marco|Nick|Otto|Percy|Ralph|Roy|Stan|Timmy|Wally|Albert|Barney|Duncan|Arlo
Ezra
:animal unique zipf
rabbit|fox|bear|mouse|squirrel|hedgehog|duck|frog|turtle|kitten|puppy|lamb|otter|deer|piglet|badger|beaver
goat
raccoon|mole|pony|chipmunk|hamster|penguin|monkey|elephant|lizard|goose|calf|donkey|koala|panda|seal|swan
ferret|newt

:hero@child once .he .him .his .self .kind
{girl} / she / her / her / herself / girl
{boy} / he / him / his / himself / boy
:hero@animal once .he .him .his .self .kind
{girl} / she / her / her / herself / {animal}
{boy} / he / him / his / himself / {animal}
:friend@child once .he .him .his .self .kind
{girl} / she / her / her / herself / girl
{boy} / he / him / his / himself / boy
:friend@animal once .he .him .his .self .kind
{girl} / she / her / her / herself / {animal}
{boy} / he / him / his / himself / {animal}
:helper@child once zipf .he .him .his .call
Mom / she / her / her / Mom
Dad / he / him / his / Dad
Grandma / she / her / her / Grandma
Grandpa / he / him / his / Grandpa
Aunt {girl} / she / her / her / Auntie
Uncle {boy} / he / him / his / Uncle
the [old|kind|friendly|cheerful] [farmer|baker|gardener|postman|fisherman] / he / him / his / sir
the [old|kind|friendly|cheerful] [teacher|librarian|nurse|shopkeeper|painter] / she / her / her / miss
:helper@animal once zipf .he .him .his .call
the wise old owl / he / him / his / Mr. Owl
Mother ^{hero.kind} / she / her / her / Mama
Father ^{hero.kind} / he / him / his / Papa
the [gray|old|clever] crow / she / her / her / Mrs. Crow
the [slow|gentle|ancient] tortoise / he / him / his / Mr. Tortoise
the [tall|quiet|proud] heron / she / her / her / Mrs. Heron
the [old|sleepy|gentle] toad / he / him / his / Mr. Toad
the [busy|round|cheerful] hen / she / her / her / Mrs. Hen

:trait unique zipf
kind|curious|brave|happy|clever|cheerful|gentle|shy|silly|playful|quiet|funny|friendly|careful|lively|polite
bold
helpful|dreamy|eager|honest|lucky|merry|patient|proud|quick|sleepy|stubborn|thoughtful|adventurous|chatty
:size unique zipf
little|small|big|tiny|huge|giant|enormous|sturdy|tall
:color unique zipf
red|blue|green|yellow|white|pink|purple|brown|orange|black|golden|silver|gray|striped|spotted
:look unique zipf
shiny|pretty|old|new|soft|funny|special|bright|lovely|wooden|beautiful|smooth|fancy|simple|fine|dusty
strange|fuzzy
sparkly|painted|neat|magic|fluffy|plain|handmade|wonderful|favorite|splendid|tidy|bumpy|glossy
:glad unique zipf
happy|glad|proud|excited|cheerful|pleased|delighted|thankful|joyful
merry|brave|hopeful|thrilled|content
:bad unique zipf
sad|upset|worried|scared|lonely|unhappy|nervous|sorry|afraid|gloomy|tired|embarrassed|hopeless|confused
ashamed
miserable|cross|discouraged|restless|uneasy
:how unique zipf
slowly|quickly|carefully|softly|gently|happily|quietly|bravely|proudly|at once|eagerly|politely|calmly
patiently
without a sound|with great care|as fast as possible|one step at a time|cheerfully|nervously|neatly|boldly
warmly
:softly unique zipf
softly|gently|kindly|quietly|with a smile|in a low voice|with a laugh|warmly|with a nod|at last
:sadly unique zipf
sadly|in a small voice|with a sigh|quietly|with tears in {hero.his} eyes|softly|in a whisper|after a while
:cried zipf
cried|shouted|called|yelled|gasped|exclaimed

:thing once unique zipf .play
ball / bounce it [on the path|against the wall]|kite / fly it high in the [wind|sky]
doll / dress it in [fancy|tiny] clothes|toy car / race it along the [path|floor]
drum / beat it [like a rain storm|like a marching band]|toy boat / sail it on the [pond|puddles]
book / read it under a [tree|blanket]|hat / wear it [everywhere|while dancing]
scarf / wrap it around {hero.his} neck|bell / ring it every [morning|evening]
whistle / blow it [like a train|like a bird]|puzzle / put it together again and again
teddy bear / hug it [tightly|every night]|blanket / curl up under it
bucket / fill it with [sand|water|leaves]|shovel / dig deep holes with it
toy train / push it around the [room|garden]|flute / play it [at sunset|for the birds]
umbrella / twirl it [in the rain|in the air]|lantern / swing it [back and forth|in the dark]
basket / fill it with [flowers|berries]|crayon / draw [stars|flowers|trees] with it
marble / roll it [down a hill|across the floor]|yo-yo / spin it up and down
top / spin it on a [stone|table]|puppet / make it [dance|talk|bow]
jump rope / skip with it|mirror / catch the sunlight in it
ring / watch it sparkle in the [sun|moonlight]|shell / listen to the sea in it
button / hold it up to the [light|sun]|ribbon / wave it [in the air|in the wind]
feather / tickle [a friend|everybody] with it|map / hunt for treasure with it
toy plane / throw it [high|into the wind]|toy robot / make it [walk|beep]
spoon / stir [mud pies|pretend soup] with it|toy truck / load it with [stones|sand]
music box / listen to its sweet song|toy horse / gallop it over the [hills|grass]
paintbrush / paint [flowers|clouds|faces] with it|medal / wear it [at dinner|to bed]
balloon / tap it into the air|cape / pretend to be a [king|hero|bird]
crown / pretend to rule a kingdom|compass / go exploring with it
bead / roll it between {hero.his} fingers|trumpet / play it at the window
wagon / pull it [up|down] the [hill|lane]|pinwheel / watch it spin in the breeze

:place@child once unique zipf .the .s1 .s2 .s3
in the park / the park / under the slide / behind the bench / in the sandbox
in the garden / the garden / behind the roses / under the wheelbarrow / next to the watering can
in the forest / the forest / under a pile of leaves / behind a thick tree / beside a mossy log
at the beach / the beach / behind the rocks / under a beach towel / beside a sand castle
at the farm / the farm / in the hay / behind the barn / under the old tractor
at school / the school / under the desk / behind the door / on the book shelf
in the yard / the yard / under the porch / behind the shed / beside the fence
at the playground / the playground / under the swings / behind the seesaw / inside the tunnel
by the lake / the lake / among the reeds / under the little boat / on the wooden dock
at the market / the market / under the fruit stand / behind the bread cart / next to the flower boxes
in the attic / the attic / inside the big trunk / behind the old mirror / under a dusty sheet
in the kitchen / the kitchen / under the table / behind the oven / inside a pot
at the zoo / the zoo / under the picnic bench / near the monkey cage / beside the penguin pool
in the library / the library / between two books / behind the globe / under a cushion
at the train station / the station / under the ticket window / behind a suitcase / beside the clock
in the meadow / the meadow / in the tall grass / behind a haystack / beside the wild flowers
in the village / the village / behind the well / under the bridge / on the church steps
by the river / the river / under a willow / between two stones / on the muddy bank
:place@animal once unique zipf .the .s1 .s2 .s3
in the forest / the forest / under a pile of leaves / behind a thick tree / beside a mossy log
in the meadow / the meadow / in the tall grass / behind a clover patch / beside the wild flowers
by the river / the river / under a willow / between two stones / on the muddy bank
by the pond / the pond / among the reeds / under a lily pad / on a flat rock
on the hill / the hill / behind a boulder / under a thorn bush / in a rabbit hole
in the orchard / the orchard / under the apple tree / behind a basket / in the long shadows
in the valley / the valley / beside the brook / under a fern / behind a fallen branch
at the farm / the farm / in the hay / behind the barn / under the old tractor
in the jungle / the jungle / under a banana leaf / behind a twisted vine / beside a waterfall
on the shore / the shore / behind the dunes / under some seaweed / inside a tide pool
in the cornfield / the cornfield / behind the scarecrow / under a corn leaf / beside the ditch
in the clearing / the clearing / behind a stump / under the brambles / inside a hollow tree
in the swamp / the swamp / under a twisted root / behind the cattails / on a tiny island
in the vegetable garden / the garden / under the cabbages / behind the pumpkins / between the carrots
:home@child unique zipf
a cozy house|a small village|a white cottage|a tall building in the city|a farmhouse
a house with a {color} door
a town by the sea|a cabin near the mountains|a quiet street|a house on a hill|a snowy valley|an old mill
:home@animal unique zipf
a snug den|a deep green forest|a hollow tree|a hole under the roots|a sunny meadow|a nest of soft leaves
a cave behind a waterfall|a warm barn|a house made of sticks|a little hut|a grassy bank|a quiet valley

:day once unique zipf .sky
sunny / the sun was [bright|warm|high] and the sky was [clear|blue]
warm / a soft breeze [blew|danced] through the [leaves|grass]
windy / the wind [pushed|chased] the [clouds|leaves] around
cloudy / [gray|white] clouds [covered|filled] the sky
rainy / raindrops [tapped|drummed] on the [roofs|leaves]
cold / the air [smelled of snow|was crisp and fresh]
snowy / [fluffy|white] snow lay [on the ground|everywhere]
foggy / a [thick|pale] fog [hid|covered] the [hills|trees]
hot / even the [bees|birds|flowers] looked [tired|sleepy]
bright / [birds|larks] sang [sweetly|loudly] in the trees
spring / [new|tiny] flowers [opened|smiled] in the sun
autumn / [red|golden|dry] leaves [fell|floated] from the trees
summer / [bees|butterflies] [hummed|fluttered] around the flowers
quiet / [everything|the whole place] was [calm|still|peaceful]
:cloth unique zipf
hat|coat|scarf|dress|shirt|cap|sweater|vest|jacket|apron|belt|cape|hood|bow|shawl|skirt|ribbon|collar|mitten
necklace
raincoat|bonnet|bracelet|robe|sash|backpack|cardigan|bow tie|poncho|headband
:pocket unique zipf
button|stone|shell|coin|marble|key|feather|bead|bell|nut|seed|card|stick|nail|stamp|candle|spoon|thimble
pebble
cork|pencil|magnet|ticket|cup|doll|sponge|buckle|comb|chestnut|pine cone|postcard|crystal|whistle
:nature unique zipf
flowers|daisies|roses|tulips|leaves|ferns|mushrooms|stones|reeds|clouds|apples|berries|vines|bushes|pines
poppies|lilies
buttercups|violets|pumpkins|grasses|branches|clovers|herbs|nettles|shells|feathers|puddles|hedges|thistles
bluebells
sunflowers|acorns|willows|roots|mosses|dandelions|oaks|pebbles|ivy leaves|birches|peonies|cherries
:critter unique zipf
bird|bee|cat|dog|cricket|robin|sparrow|ladybug|beetle|ant|snail|worm|spider|pigeon|hen|parrot|magpie
cuckoo|caterpillar|moth|toad|blackbird|owl|seagull|woodpecker|bat|lark|grasshopper|crane|rooster|hawk
bluebird
:when zipf
morning|day|afternoon|evening
:hobby unique zipf
playing outside|picking flowers|jumping in puddles|climbing trees|telling stories|singing songs
chasing butterflies
collecting stones|baking bread|drawing pictures|counting the stars|dancing in the rain
looking for bugs|building towers|digging holes|making friends|splashing in the water|watching the clouds
asking questions|playing hide and seek|rolling down hills|listening to the birds|helping others
learning new words
running races|blowing bubbles|feeding the ducks|exploring|making funny faces|sewing|whistling|gathering nuts
:treat unique zipf
some sweet berries|a warm apple pie|a chocolate cake|some cookies|a bowl of hot soup|some honey
a plate of pancakes
some cold lemonade|a loaf of fresh bread|some juicy peaches|a cup of cocoa|some roasted nuts
a bag of cherries
some carrot cake|a big melon|a blueberry muffin|some cheese|some popcorn|ripe plums|a jar of jam
some ice cream
a pot of stew|a slice of pizza|some grapes|a jug of milk|some crackers|a tray of biscuits|a banana
some porridge
:junk unique zipf
an old sock|a sleepy snail|a pile of leaves|a rusty key|an empty box|a spider web|some dry grass
a broken cup
a gray stone|a lost glove|a wet stick|a fat worm|a busy beetle|a torn bag|a ladybug|a cobweb|an acorn
some dust
an old shoe|a bit of string|a bottle cap|a green caterpillar|a cricket|a crumpled paper|some moss
an eggshell
:tool once unique zipf
ladder|long stick|rope|net|broom|fishing rod|chair|pole|hook|rake|branch|wooden box
:body zipf
heart|tummy|chest
:small_animal once unique zipf .home .hurt
bird / its nest / its wing was [hurt|stuck]|bee / its hive / its wings were wet
butterfly / the flowers / a spider web held it tight|kitten / its basket / its paw was caught in a fence
ladybug / its leaf / it had fallen on its back
squirrel / its tree / its tail was tangled in a bush|snail / its garden / a heavy leaf lay on its shell
duckling / its mother / its foot was stuck in the mud|puppy / its kennel / a thorn was in its paw
baby owl / its hollow tree / it could not fly yet|mouse / its hole / it was trapped in a jar

:scary once unique zipf .try .truth
the dark / walk through a dark [room|tunnel] / there was nothing in the dark but [the moon|quiet shadows]
thunder / sit by the window in a storm / the thunder was only a loud noise
deep water / step into the cold water / the water was [soft|cool] and could hold {hero.him} up
high places / climb to the top of the [hill|ladder] / the view from the top was [beautiful|amazing]
spiders / sit next to a tiny spider / the spider only wanted to [spin|rest]
loud noises / stand beside the big bell / the bell only wanted to sing
the old bridge / cross the old bridge / the bridge was [strong|steady]
strangers / say hello to somebody new / a stranger could become a friend
the big dog / pat the big dog / the dog only wanted to [play|be petted]
the cave / peek into the cave / the cave was full of [pretty|shiny] stones
the tall slide / go down the tall slide / the ride was [fast|fun]
speaking up / sing in front of everyone / everyone wanted to listen
:skill once unique zipf .past .fail .tip
swim / swam across the [pond|pool] / swallowed some water / kick your legs and stay calm
whistle / whistled a whole song / made only a windy sound / make your lips round and blow softly
skate / skated in a big circle / slipped and landed on the ice / bend your knees and look ahead
dance / danced across the floor / tripped over {hero.his} own feet / listen to the music first
paint / painted a [lovely|bright] picture / spilled the paint / start with one small line
juggle / juggled three apples / dropped everything on the ground / watch the air, not your hands
read / read a whole page / mixed up all the letters / say one sound at a time
sing / sang a [clear|sweet] song / forgot the words / take a deep breath
cook / cooked a tasty soup / burned the soup / stir slowly and wait
climb / climbed to the highest branch / slid down the trunk / hold on with both hands
tie a knot / tied a [strong|perfect] knot / tangled the string / make a loop like a rabbit ear
throw far / threw the stone across the river / threw the stone into the bushes / swing your arm like a gate
catch / caught the ball ten times / missed the ball / keep your eyes on the ball
bake / baked a [golden|soft] loaf of bread / forgot the flour / count each spoon out loud
row a boat / rowed to the other side / went around in circles / pull both oars together
jump rope / jumped fifty times in a row / got tangled in the rope / count to three and then hop
stand on one leg / stood on one leg for a minute / fell over sideways / look at one spot
:breakable once unique zipf .use
vase / hold flowers|cup / hold tea|window / let in the light|lamp / light the room|plate / hold cookies
clock / tell the time|picture frame / keep a photo safe|jar / keep honey fresh|teapot / keep the tea warm
bowl / hold fruit|mirror / comb {helper.his} hair|flower pot / hold a little tree|jug / hold cold milk
music box / play a song at night|snow globe / make everyone smile|candle holder / light the table
:owner@child once unique zipf .he .his
old woman / she / her|tall man / he / his|little girl / she / her|small boy / he / his
young mother / she / her
painter / he / his|lady with a dog / she / her|bus driver / he / his|singer / she / her|sailor / he / his
:owner@animal once unique zipf .he .his
old cat / she / her|gray wolf / he / his|mother hare / she / her|tired stork / he / his
white horse / she / her
tall moose / he / his|rooster / he / his|red hen / she / her|singing thrush / she / her
fat walrus / he / his
:plant once unique zipf .fruit
sunflower / a big yellow flower|tomato plant / round red tomatoes|apple tree / sweet apples
rose bush / soft pink roses
pumpkin vine / a giant orange pumpkin|bean stalk / long green beans|strawberry plant / juicy strawberries
carrot plant / crunchy orange carrots|pear tree / golden pears|tulip / a shiny red tulip
corn plant / fat yellow corn
daisy / a crown of white petals|lemon tree / bright yellow lemons|pea plant / plump green peas
:noise once unique zipf .source
a strange rattle / a loose window in the wind
a soft scratching / a tiny mouse with a nut|a low humming / a fat bumblebee
a loud thump / an apple that fell on the roof|a slow creak / an old gate|a faint crying / a lost kitten
a funny squeak / a rusty wheel|a gentle tapping / a woodpecker on a branch|a deep snore / a very tired dog
a splash / a frog in a bucket|a quiet jingle / a cat with a bell
a long whistle / the wind in an empty bottle
a sudden rustle / a hedgehog in the leaves|a tiny cough / a bird with a sore throat
:forbidden once unique zipf .result .reason
touch the hot stove / burned a finger / it is very hot
climb the tall fence / tore a sleeve and got stuck / it is not safe
eat all the candy / got a terrible tummy ache / too much candy will make you sick
walk on the thin ice / fell into the icy water / the ice is too thin
go near the beehive / got a sting on the nose / the bees protect their home
run on the wet floor / slipped and bumped a knee / the floor is slippery
open the chicken gate / let all the chickens run away / the chickens will escape
play with the scissors / cut a big hole in a shirt / they are very sharp
pick the purple mushrooms / felt sick all day / some mushrooms are bad for you
pull the goat by the tail / was pushed into the mud / the goat does not like it
jump on the bed / fell off and bumped an elbow / beds are for sleeping
wander into the thorn bushes / was covered in scratches / the thorns are long
stay up too late / fell asleep in the soup / everyone needs to rest
:gift once unique zipf .need1 .need2 .need3
a birthday cake / flour / eggs / sugar
a flower crown / daisies / green stems / a long ribbon
a warm sweater / soft wool / two needles / a big button
a paper lantern / colored paper / some glue / a small candle
a bird house / some wood / a few nails / a little paint
a pot of soup / fresh carrots / a round onion / clean water
a necklace / a strong thread / bright beads / a silver bell
a picture book / clean paper / many crayons / a piece of string
a fruit salad / ripe apples / sweet grapes / a wooden bowl
a rag doll / old cloth / yellow yarn / two buttons
a kite / thin paper / straight sticks / a ball of string
a jar of jam / red berries / a lot of sugar / an empty jar
:den once unique zipf .from
a tree house / boards and rope|a fort / pillows and blankets|a sand castle / wet sand and shells
a tent / sticks and a sheet
a snow house / blocks of snow|a raft / logs and vines|a dam / stones and mud|a tower / wooden blocks
a hut / branches and leaves
a bridge / planks and nails
:storm unique zipf
a strong wind blew|heavy rain came down|a big wave rolled in|a clumsy cow walked by|a branch fell from above
a [noisy|wild] storm came|the ground began to shake|a playful dog ran through|a thick rope snapped
:prize once unique zipf
a golden cup|a big basket of fruit|a shiny medal|a blue ribbon|a crown of leaves|a jar of sweets|a new sled
a silver star
:race once unique zipf .verb
a running race / ran|a swimming race / swam|a sack race / hopped|a sled race / slid|a boat race / rowed
a skipping race / skipped
:landmark unique zipf
the old oak|the stone bridge|the big rock|the windmill|the crooked fence|the red barn|the little creek
the tall pine
the empty well|the bent signpost|the berry bushes|the mossy wall|the white gate|the frog pond|the old tower
)grammar";

}  // namespace flashlm
